"""A repo in the workspace of a sandbox of the OpenAI Agents SDK.

>>> async with session, mount_in_session(mesa, session, repo="notes") as work:   # doctest: +SKIP
...     await Runner.run(agent, f"Work in {work.path}", run_config=...)

`mesa` runs in the sandbox, so this works with every sandbox of the SDK in which FUSE does. Needs
the package `openai-agents`.
"""

from __future__ import annotations

import io
import posixpath
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mesa_sdk.sandbox import AsyncSandboxRunner, SandboxCommand, SandboxOutput, mount_in_sandbox

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from mesa_sdk.client import AsyncMesa
    from mesa_sdk.models import Repo
    from mesa_sdk.sandbox import AsyncSandboxMount
    from mesa_sdk.sandbox._mount import MountOptions

#: Takes standard input from a file, which is gone before anything runs.
_WITH_INPUT = 'exec <"$1" && rm -f "$1" && shift && exec "$@"'


class _Output(Protocol):
    @property
    def exit_code(self) -> int: ...
    @property
    def stdout(self) -> bytes: ...
    @property
    def stderr(self) -> bytes: ...


class AgentSession(Protocol):
    """`agents.sandbox.session.SandboxSession`, or another `BaseSandboxSession`."""

    @property
    def state(self) -> Any:
        """Holds the manifest, and that the workspace's root."""
        ...

    async def exec(
        self, *command: str | Path, timeout: float | None = None, shell: bool | list[str] = True
    ) -> _Output:
        """Runs a command."""
        ...

    async def write(self, path: Path, data: io.IOBase) -> None:
        """Writes a file."""
        ...

    def register_persist_workspace_skip_path(self, path: Path | str) -> Path:
        """Leaves a path out of snapshots."""
        ...


def agent_session(session: AgentSession) -> AsyncSandboxRunner:
    """Runs commands in a session. What is secret goes there in a file that only its user can read,
    and that is removed before the command begins.
    """
    root = str(session.state.manifest.root)

    async def run(command: SandboxCommand) -> SandboxOutput:
        argv: tuple[str, ...] = command.argv
        if command.input:
            name = f".mesa-{uuid.uuid4().hex}"
            at = posixpath.join(root, name)
            # Empty until nobody else can read it.
            await session.write(Path(name), io.BytesIO(b""))
            await session.exec("chmod", "600", at, shell=False)
            await session.write(Path(name), io.BytesIO(command.input.encode()))
            argv = ("sh", "-c", _WITH_INPUT, "sh", at, *argv)
        done = await session.exec(*argv, shell=False, timeout=command.timeout)
        return SandboxOutput(done.exit_code, _text(done.stdout), _text(done.stderr))

    return AsyncSandboxRunner(run, "stdin")


@asynccontextmanager
async def mount_in_session(
    mesa: AsyncMesa,
    session: AgentSession,
    *,
    repo: str | Repo,
    directory: str = "mesa",
    **options: Unpack[MountOptions],
) -> AsyncGenerator[AsyncSandboxMount, None]:
    """A repo below `directory` of a started session's workspace, for as long as the block.

    It is left out of the session's snapshots: it is kept by the server. The options are those of
    :func:`mesa_sdk.sandbox.mount_in_sandbox`.
    """
    session.register_persist_workspace_skip_path(directory)
    root = str(session.state.manifest.root)
    options.setdefault("mount_point", posixpath.join(root, directory))
    async with mount_in_sandbox(mesa, agent_session(session), repo=repo, **options) as work:
        yield work


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
