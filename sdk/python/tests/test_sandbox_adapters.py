"""What each provider's client is asked. That their types fit is checked by `providers/check.py`."""

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from mesa_sdk.sandbox import (
    AsyncSandboxRunner,
    SandboxCommand,
    SandboxOutput,
    SandboxRunner,
    blaxel,
    daytona,
    e2b,
    execute,
    sprites,
    superserve,
)

pytestmark = pytest.mark.anyio

COMMAND = SandboxCommand("sh -c 'true'", ("sh", "-c", "true"), {"A": "b"}, "", False, 1.5)
AS_ROOT = SandboxCommand("sh -c 'true'", ("sh", "-c", "true"), {"A": "b"}, "", True, 1.5)
FAILED = SandboxOutput(3, "out", "err")


def thing(**parts: Any) -> Any:
    return SimpleNamespace(**parts)


class ExitError(Exception):
    """How some clients tell the outcome of a command that failed."""

    exit_code = 3
    stdout = "out"
    stderr = "err"


class Noting:
    """A method that notes how it was called, and answers or raises; of both kinds."""

    def __init__(self, answer: Any, kind: str) -> None:
        self.calls: list[Any] = []
        self._answer = answer
        self.method = self._acall if kind == "async" else self._call

    def _call(self, *args: Any, **options: Any) -> Any:
        self.calls.append((*args, options))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def _acall(self, *args: Any, **options: Any) -> Any:
        return self._call(*args, **options)


def known(runner: SandboxRunner | AsyncSandboxRunner) -> SandboxRunner | AsyncSandboxRunner:
    """What checkers cannot tell of arguments that may be anything."""
    return runner


async def ran(
    runner: SandboxRunner | AsyncSandboxRunner, command: SandboxCommand, kind: str
) -> SandboxOutput:
    assert isinstance(runner, AsyncSandboxRunner if kind == "async" else SandboxRunner)
    done = runner.run(command)
    return await done if inspect.isawaitable(done) else done


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_e2b(kind: str):
    noting = Noting(FAILED, kind)
    runner = known(e2b(thing(commands=thing(run=noting.method))))
    assert (runner.secrets, runner.setup_fuse) == ("env", True)
    assert await ran(runner, COMMAND, kind) == FAILED
    await ran(runner, AS_ROOT, kind)
    how = {"envs": {"A": "b"}, "user": None, "timeout": 1.5}
    assert noting.calls == [(COMMAND.line, how), (COMMAND.line, {**how, "user": "root"})]
    for thrown in (ExitError(), ConnectionError("reset")):
        raising = thing(run=Noting(thrown, kind).method)
        runner = e2b(thing(commands=raising))
        if isinstance(thrown, ExitError):
            assert await ran(runner, COMMAND, kind) == FAILED
        else:
            with pytest.raises(ConnectionError):
                await ran(runner, COMMAND, kind)


async def test_daytona(kind: str):
    noting = Noting(thing(exit_code=3, result="outerr"), kind)
    runner = daytona(thing(process=thing(exec=noting.method)))
    assert await ran(runner, AS_ROOT, kind) == SandboxOutput(3, "outerr")
    assert noting.calls == [(COMMAND.line, {"env": {"A": "b"}, "timeout": 2})]


async def test_blaxel(kind: str):
    noting = Noting(thing(exit_code=3, stdout="out", stderr="err", pid="1"), kind)
    runner = blaxel(thing(process=thing(exec=noting.method)))
    assert await ran(runner, COMMAND, kind) == FAILED
    how = {"command": COMMAND.line, "env": {"A": "b"}, "wait_for_completion": True, "timeout": 2}
    assert noting.calls == [(how, {})]


async def test_superserve(kind: str):
    noting = Noting(FAILED, kind)
    runner = superserve(thing(commands=thing(run=noting.method)))
    assert await ran(runner, COMMAND, kind) == FAILED
    assert noting.calls == [(COMMAND.line, {"env": {"A": "b"}, "timeout_seconds": 2})]


class FakeSprite:
    """Its commands print what they were given."""

    def __init__(self, kind: str, thrown: Exception | None) -> None:
        self.kind = kind
        self.thrown = thrown
        self.words: tuple[str, ...] = ()

    def command(self, *words: str, **how: Any) -> Any:
        self.words = words

        def work() -> None:
            how["stdout"].write(how["stdin"].read() + "ü".encode())
            how["stderr"].write(b"err\xff")
            if self.thrown is not None:
                raise self.thrown

        async def awork() -> None:
            work()

        return thing(exit_code=3, run=awork if self.kind == "async" else work)


class ExitMethodError(Exception):
    """As the package sprites has it."""

    def exit_code(self) -> int:
        return 3


async def test_sprites(kind: str):
    command = SandboxCommand(COMMAND.line, COMMAND.argv, {}, "A=b\n\n", False, 1.5)
    sprite: Any = FakeSprite(kind, ExitMethodError())
    runner = known(sprites(sprite))
    assert (runner.secrets, runner.setup_fuse) == ("stdin", True)
    assert await ran(runner, command, kind) == SandboxOutput(3, "A=b\n\nü", "err\ufffd")
    assert sprite.words == COMMAND.argv
    broken: Any = FakeSprite(kind, ConnectionError("reset"))
    with pytest.raises(ConnectionError):
        await ran(sprites(broken), command, kind)


async def test_any_function(kind: str):
    noting = Noting(FAILED, kind)
    runner = known(execute(noting.method, secrets="stdin", setup_fuse=True))
    assert (runner.secrets, runner.setup_fuse) == ("stdin", True)
    assert await ran(runner, COMMAND, kind) == FAILED
    assert noting.calls == [(COMMAND, {})]
