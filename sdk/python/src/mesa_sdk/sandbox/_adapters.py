"""Runners for the providers' handles.

Protocols stand for the providers' types, so that none of their packages is needed. That the real
ones fit is checked by `providers/check.py`.
"""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast, overload

from mesa_sdk.sandbox._runner import (
    AsyncSandboxRunner,
    SandboxCommand,
    SandboxOutput,
    SandboxRunner,
    Secrets,
)


class _Output(Protocol):
    @property
    def exit_code(self) -> int: ...
    # E2B has None for a command whose output is not kept, which is not asked for.
    @property
    def stdout(self) -> str | None: ...
    @property
    def stderr(self) -> str | None: ...


class _E2bCommands(Protocol):
    def run(
        self, cmd: str, *, envs: dict[str, str] | None, user: str | None, timeout: float | None
    ) -> _Output: ...


class _AsyncE2bCommands(Protocol):
    async def run(
        self, cmd: str, *, envs: dict[str, str] | None, user: str | None, timeout: float | None
    ) -> _Output: ...


class E2bSandbox(Protocol):
    """`e2b.Sandbox`."""

    @property
    def commands(self) -> _E2bCommands:
        """Runs commands."""
        ...


class AsyncE2bSandbox(Protocol):
    """`e2b.AsyncSandbox`."""

    @property
    def commands(self) -> _AsyncE2bCommands:
        """Runs commands."""
        ...


class _DaytonaOutput(Protocol):
    @property
    def exit_code(self) -> int: ...
    @property
    def result(self) -> str: ...


class _DaytonaProcess(Protocol):
    def exec(
        self, command: str, *, env: dict[str, str] | None, timeout: int | None
    ) -> _DaytonaOutput: ...


class _AsyncDaytonaProcess(Protocol):
    async def exec(
        self, command: str, *, env: dict[str, str] | None, timeout: int | None
    ) -> _DaytonaOutput: ...


class DaytonaSandbox(Protocol):
    """`daytona.Sandbox`."""

    @property
    def process(self) -> _DaytonaProcess:
        """Runs commands."""
        ...


class AsyncDaytonaSandbox(Protocol):
    """`daytona.AsyncSandbox`."""

    @property
    def process(self) -> _AsyncDaytonaProcess:
        """Runs commands."""
        ...


class _BlaxelProcess(Protocol):
    # Some of its answers have their attributes dynamically.
    def exec(self, process: dict[str, Any]) -> object: ...


class _AsyncBlaxelProcess(Protocol):
    async def exec(self, process: dict[str, Any]) -> object: ...


class BlaxelSandbox(Protocol):
    """`blaxel.core.SyncSandboxInstance`."""

    @property
    def process(self) -> _BlaxelProcess:
        """Runs commands."""
        ...


class AsyncBlaxelSandbox(Protocol):
    """`blaxel.core.SandboxInstance`."""

    @property
    def process(self) -> _AsyncBlaxelProcess:
        """Runs commands."""
        ...


class _SuperserveCommands(Protocol):
    def run(
        self, command: str, *, env: dict[str, str] | None, timeout_seconds: int | None
    ) -> _Output: ...


class _AsyncSuperserveCommands(Protocol):
    async def run(
        self, command: str, *, env: dict[str, str] | None, timeout_seconds: int | None
    ) -> _Output: ...


class SuperserveSandbox(Protocol):
    """`superserve.Sandbox`."""

    @property
    def commands(self) -> _SuperserveCommands:
        """Runs commands."""
        ...


class AsyncSuperserveSandbox(Protocol):
    """`superserve.AsyncSandbox`."""

    @property
    def commands(self) -> _AsyncSuperserveCommands:
        """Runs commands."""
        ...


class _SpriteCommand(Protocol):
    @property
    def exit_code(self) -> int: ...
    def run(self) -> None: ...


class _AsyncSpriteCommand(Protocol):
    @property
    def exit_code(self) -> int: ...
    async def run(self) -> None: ...


class Sprite(Protocol):
    """`sprites.Sprite`."""

    def command(
        self, *args: str, timeout: float | None, stdin: Any, stdout: Any, stderr: Any
    ) -> _SpriteCommand:
        """A command that is to be run."""
        ...


class AsyncSprite(Protocol):
    """`sprites.AsyncSprite`."""

    def command(
        self, *args: str, timeout: float | None, stdin: Any, stdout: Any, stderr: Any
    ) -> _AsyncSpriteCommand:
        """A command that is to be run."""
        ...


@overload
def e2b(sandbox: AsyncE2bSandbox) -> AsyncSandboxRunner: ...
@overload
def e2b(sandbox: E2bSandbox) -> SandboxRunner: ...
def e2b(sandbox: E2bSandbox | AsyncE2bSandbox) -> SandboxRunner | AsyncSandboxRunner:
    """A sandbox of E2B. Installing is done as root, everything else as the sandbox's user."""
    run = sandbox.commands.run

    def call(command: SandboxCommand) -> Any:
        user = "root" if command.as_root else None
        return run(command.line, envs=dict(command.env), user=user, timeout=command.timeout)

    return _runner(call, _output, awaits=inspect.iscoroutinefunction(run), setup_fuse=True)


@overload
def daytona(sandbox: AsyncDaytonaSandbox) -> AsyncSandboxRunner: ...
@overload
def daytona(sandbox: DaytonaSandbox) -> SandboxRunner: ...
def daytona(sandbox: DaytonaSandbox | AsyncDaytonaSandbox) -> SandboxRunner | AsyncSandboxRunner:
    """A sandbox of Daytona. It has no root: what root has to do belongs into the image."""
    run = sandbox.process.exec

    def call(command: SandboxCommand) -> Any:
        return run(command.line, env=dict(command.env), timeout=_seconds(command))

    def read(done: Any) -> SandboxOutput:
        return SandboxOutput(done.exit_code, done.result)

    return _runner(call, read, awaits=inspect.iscoroutinefunction(run))


@overload
def blaxel(  # pyright: ignore[reportOverlappingOverload] (what is awaited is an object, too)
    sandbox: AsyncBlaxelSandbox,
) -> AsyncSandboxRunner: ...
@overload
def blaxel(sandbox: BlaxelSandbox) -> SandboxRunner: ...
def blaxel(sandbox: BlaxelSandbox | AsyncBlaxelSandbox) -> SandboxRunner | AsyncSandboxRunner:
    """A sandbox of Blaxel."""
    run = sandbox.process.exec

    def call(command: SandboxCommand) -> Any:
        asked = {"command": command.line, "env": dict(command.env), "wait_for_completion": True}
        return run({**asked, "timeout": _seconds(command)})

    return _runner(call, _output, awaits=inspect.iscoroutinefunction(run))


@overload
def superserve(sandbox: AsyncSuperserveSandbox) -> AsyncSandboxRunner: ...
@overload
def superserve(sandbox: SuperserveSandbox) -> SandboxRunner: ...
def superserve(
    sandbox: SuperserveSandbox | AsyncSuperserveSandbox,
) -> SandboxRunner | AsyncSandboxRunner:
    """A sandbox of Superserve."""
    run = sandbox.commands.run

    def call(command: SandboxCommand) -> Any:
        return run(command.line, env=dict(command.env), timeout_seconds=_seconds(command))

    return _runner(call, _output, awaits=inspect.iscoroutinefunction(run))


@overload
def sprites(sprite: AsyncSprite) -> AsyncSandboxRunner: ...
@overload
def sprites(sprite: Sprite) -> SandboxRunner: ...
def sprites(sprite: Sprite | AsyncSprite) -> SandboxRunner | AsyncSandboxRunner:
    """A sprite.

    Its service takes variables by its address, which proxies and logs see; so what is secret goes
    by standard input.
    """

    def prepared(command: SandboxCommand) -> tuple[Any, Callable[[], SandboxOutput]]:
        stdout, stderr = io.BytesIO(), io.BytesIO()
        made = sprite.command(
            *command.argv,
            timeout=command.timeout,
            stdin=io.BytesIO(command.input.encode()),
            stdout=stdout,
            stderr=stderr,
        )

        def output() -> SandboxOutput:
            return SandboxOutput(made.exit_code, _text(stdout.getvalue()), _text(stderr.getvalue()))

        return made, output

    def run(command: SandboxCommand) -> SandboxOutput:
        made, output = prepared(command)
        try:
            made.run()
        except Exception as error:
            if not _is_exit(error):
                raise
        return output()

    async def arun(command: SandboxCommand) -> SandboxOutput:
        made, output = prepared(command)
        try:
            await made.run()
        except Exception as error:
            if not _is_exit(error):
                raise
        return output()

    probe = sprite.command("true", timeout=None, stdin=None, stdout=None, stderr=None)
    if inspect.iscoroutinefunction(probe.run):
        return AsyncSandboxRunner(arun, "stdin", setup_fuse=True)
    return SandboxRunner(run, "stdin", setup_fuse=True)


@overload
def execute(
    run: Callable[[SandboxCommand], Awaitable[SandboxOutput]],
    *,
    secrets: Secrets = ...,
    setup_fuse: bool = ...,
) -> AsyncSandboxRunner: ...
@overload
def execute(
    run: Callable[[SandboxCommand], SandboxOutput],
    *,
    secrets: Secrets = ...,
    setup_fuse: bool = ...,
) -> SandboxRunner: ...
def execute(
    run: Callable[[SandboxCommand], SandboxOutput]
    | Callable[[SandboxCommand], Awaitable[SandboxOutput]],
    *,
    secrets: Secrets = "env",
    setup_fuse: bool = False,
) -> SandboxRunner | AsyncSandboxRunner:
    """Any machine, by a function that runs a command there: a container, a remote shell, this one.

    The function sets the command's variables (`env`) or, with `secrets="stdin"`, writes `input` to
    its standard input: choose whichever does not show them to others. With `setup_fuse` root opens
    `/dev/fuse` to everybody when `mesa` is installed. A function made by `async def` is awaited.
    """
    if inspect.iscoroutinefunction(run):
        return AsyncSandboxRunner(run, secrets, setup_fuse)
    return SandboxRunner(
        cast("Callable[[SandboxCommand], SandboxOutput]", run), secrets, setup_fuse
    )


def _runner(
    call: Callable[[SandboxCommand], Any],
    read: Callable[[Any], SandboxOutput],
    *,
    awaits: bool,
    setup_fuse: bool = False,
) -> SandboxRunner | AsyncSandboxRunner:
    def run(command: SandboxCommand) -> SandboxOutput:
        try:
            done = call(command)
        except Exception as error:
            if not _is_exit(error):
                raise
            return _output(error)
        return read(done)

    async def arun(command: SandboxCommand) -> SandboxOutput:
        try:
            done = await call(command)
        except Exception as error:
            if not _is_exit(error):
                raise
            return _output(error)
        return read(done)

    if awaits:
        return AsyncSandboxRunner(arun, setup_fuse=setup_fuse)
    return SandboxRunner(run, setup_fuse=setup_fuse)


def _is_exit(error: Exception) -> bool:
    """Whether a client raised the outcome of a command that failed."""
    code: Any = getattr(error, "exit_code", None)
    return isinstance(code() if callable(code) else code, int)


def _output(done: Any) -> SandboxOutput:
    return SandboxOutput(done.exit_code, done.stdout or "", done.stderr or "")


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _seconds(command: SandboxCommand) -> int:
    return math.ceil(command.timeout)
