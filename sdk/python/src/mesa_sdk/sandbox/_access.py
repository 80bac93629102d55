"""Scripts as commands, their outcomes as answers or errors: without I/O, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mesa_sdk._call import Call
from mesa_sdk.errors import MesaError
from mesa_sdk.sandbox._errors import SandboxError
from mesa_sdk.sandbox._runner import SandboxCommand, SandboxOutput, Secrets
from mesa_sdk.sandbox._scripts import quoted, script

T = TypeVar("T")
E = TypeVar("E", bound=SandboxError)

#: Calls of the server and commands of the sandbox, in order. Whoever performs them sends in the
#: answers, or throws what went wrong.
Steps = Generator["Call[Any] | SandboxCommand", Any, T]

#: Of what a command printed, the end is kept.
_OUTPUT_CHARS_MAX = 65_536
_SHOWN_CHARS_MAX = 2_000


@dataclass(frozen=True)
class Script:
    """What goes into one command, and the error for when it fails."""

    error: type[SandboxError]
    #: The sentence for when it fails.
    what: str
    text: str
    env: Mapping[str, str] = field(repr=False)
    timeout: float
    as_root: bool = False


class Access:
    """Makes commands for one sandbox; what comes back holds none of the secrets."""

    def __init__(self, secrets: Secrets) -> None:
        self._way = secrets
        self._hidden: list[str] = []

    def hide(self, secret: str) -> None:
        """Never shows this text again."""
        self._hidden.append(secret)

    def run(self, wanted: Script) -> Steps[SandboxOutput]:
        """Runs a script; raises its error unless the exit code is 0."""
        thrown: Exception | None = None
        done = SandboxOutput(-1)
        try:
            done = yield self._command(wanted)
        except Exception as error:  # noqa: BLE001 (any client's)
            thrown = error
        # Not in the handler: what a client raises may hold the request with the key in it, and
        # would be the error's context.
        if thrown is not None:
            raise self.failure(wanted.error, wanted.what, thrown)
        output = SandboxOutput(done.exit_code, self._shown(done.stdout), self._shown(done.stderr))
        if output.exit_code == 0:
            return output
        printed = (output.stdout + output.stderr)[-_OUTPUT_CHARS_MAX:]
        why = _explained(printed) or f"exit code {output.exit_code}{_said(printed)}"
        raise wanted.error(wanted.what, why, exit_code=output.exit_code, output=printed)

    def failure(self, kind: type[E], what: str, cause: Exception) -> E:
        """The error for what a client raised."""
        made = kind(what, self._shown(str(cause) or type(cause).__name__))
        if isinstance(cause, MesaError):
            made.__cause__ = cause
        else:
            told = RuntimeError(self._shown(f"{type(cause).__name__}: {cause}"))
            made.__cause__ = told
        return made

    def _command(self, wanted: Script) -> SandboxCommand:
        by_input = self._way == "stdin" and bool(wanted.env)
        whole = script(wanted.text, takes_variables=by_input)
        lines = [f"{name}={value}\n" for name, value in wanted.env.items()]
        return SandboxCommand(
            line=f"sh -c {quoted(whole)}",
            argv=("sh", "-c", whole),
            env={} if by_input else dict(wanted.env),
            input="".join([*lines, "\n"]) if by_input else "",
            as_root=wanted.as_root,
            timeout=wanted.timeout,
        )

    def _shown(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, "mesa_***")
        return text


def _said(printed: str) -> str:
    text = printed.strip()[-_SHOWN_CHARS_MAX:]
    return f"\n{text}" if text else ""


def _explained(printed: str) -> str | None:
    """What `mesa --json` says of its failure: the message, its causes, what to do."""
    for line in reversed(printed.split("\n")):
        if not line.startswith('{"error":'):
            continue
        try:
            error: Any = json.loads(line)["error"]
            said = ": ".join([error["message"], *error.get("causes", [])])
            hint = error.get("hint")
        except (KeyError, TypeError, ValueError, AttributeError):
            continue  # Another program's.
        return f"{said}\nhint: {hint}" if hint else said
    return None
