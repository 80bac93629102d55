"""Commands as a sandbox is asked to run them, and who runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

#: How variables reach a command without being shown.
Secrets = Literal["env", "stdin"]


@dataclass(frozen=True)
class SandboxCommand:
    """A command for a sandbox."""

    #: `sh -c '...'` as one line, for services that hand it to whichever shell there is.
    line: str
    #: The same as words, for services without a shell.
    argv: tuple[str, ...]
    #: Variables, the key among them unless it comes by `input`.
    env: Mapping[str, str] = field(repr=False)
    #: What to write to the command's standard input before closing it; mostly nothing.
    input: str = field(repr=False)
    #: Whether it needs root where commands are run as somebody else.
    as_root: bool
    #: When to give up, in seconds.
    timeout: float


@dataclass(frozen=True)
class SandboxOutput:
    """What became of a command."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""


@dataclass(frozen=True)
class SandboxRunner:
    """Runs commands in one sandbox, and blocks: what adapters make of a provider's handle.

    A command that fails is an answer, not an error.
    """

    run: Callable[[SandboxCommand], SandboxOutput]
    secrets: Secrets = "env"
    #: Whether root has to open `/dev/fuse` to whoever works there.
    setup_fuse: bool = False


@dataclass(frozen=True)
class AsyncSandboxRunner:
    """The same for asynchronous handles."""

    run: Callable[[SandboxCommand], Awaitable[SandboxOutput]]
    secrets: Secrets = "env"
    setup_fuse: bool = False
