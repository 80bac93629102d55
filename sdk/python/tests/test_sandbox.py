"""The helper for sandboxes: its steps, what fails in them, and that the key is seen by nobody."""

import pickle
import traceback
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from mesa_sdk import AsyncMesa, InvalidOptionsError, Mesa, MesaError, NotFoundError
from mesa_sdk.models import Repo
from mesa_sdk.sandbox import (
    AsyncSandboxMount,
    SandboxCommandError,
    SandboxError,
    SandboxInstallError,
    SandboxKeyError,
    SandboxMount,
    SandboxMountError,
    SandboxNotReadyError,
    SandboxOutput,
    SandboxRenewalError,
    SandboxRepoError,
    SandboxRevocationError,
    SandboxSyncError,
    SandboxUnmountError,
    execute,
    mount_in_sandbox,
)
from sandboxes import MARK, POINT, SECRET, FakeSandbox, Kit, result

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sync", "async", "threads"])
def kit(request: pytest.FixtureRequest) -> Kit:
    return Kit(request.param)


def shown(error: BaseException) -> str:
    """Everything that tools print of an error."""
    seen: list[str] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None:
            seen += [repr(one), str(vars(one)), *traceback.format_exception(one)]
            todo += [one.__cause__, one.__context__]
    return "\n".join(seen)


async def test_a_key_an_installation_a_mount_and_back(kit: Kit):
    at = datetime.now(timezone.utc)
    state: Any = {"default_bookmark": "main", "head_change_id": "z", "upstream": None}
    repo = Repo(id="id_1", org="other", name="work", created_at=at, tags={}, **state)
    async with kit.mounted(repo=repo) as work:
        assert work.path == f"{POINT}/other/work"
        assert (work.org, work.repo, work.key_id) == ("other", "work", "key_1")
        assert work.expires_at > at + timedelta(seconds=3500)
        assert kit.sandbox.purposes == ["install", "mount", "ready"]
        assert kit.api.asked == ["make key_1"]
    assert kit.sandbox.purposes[3:] == ["sync", "unmount"]
    assert kit.api.asked == ["make key_1", "revoke key_1"]
    assert kit.api.made == [
        {
            "org": "other",
            "name": "sandbox-session",
            "scopes": ["read", "write"],
            "repo_ids": ["id_1"],
            "expires_in_seconds": 3600,
        }
    ]


@pytest.mark.parametrize("secrets", ["env", "stdin"])
async def test_the_key_goes_by_the_environment_or_the_input(kit: Kit, secrets: Any):
    async with kit.mounted(secrets=secrets, env={"MESA_CA_FILE": "/a 'b"}):
        pass
    assert SECRET not in kit.sandbox.shown
    given = [c for c in kit.sandbox.commands if "MESA_ORGS" in f"{c.env}{c.input}"]
    assert len(given) == 1
    variables = {"MESA_CA_FILE": "/a 'b", "MESA_ORGS": f"my-org:{SECRET}1"}
    lines = f"MESA_CA_FILE=/a 'b\nMESA_ORGS=my-org:{SECRET}1\n\n"
    wanted = (variables, "") if secrets == "env" else ({}, lines)
    assert (given[0].env, given[0].input) == wanted


STEPS: Any = pytest.mark.parametrize(
    ("step", "kind", "after"),
    [
        ("install", SandboxInstallError, []),
        ("mount", SandboxMountError, []),
        ("ready", SandboxNotReadyError, ["unmount by force"]),
    ],
)


@STEPS
async def test_a_step_that_fails(kit: Kit, step: str, kind: type[SandboxError], after: list[str]):
    printed = (
        f'trying\n{{"error":{{"message":"no way with {SECRET}1","causes":["a cause"],'
        '"hint":"do this"},"exit_code":8}'
    )
    kit.sandbox.answers[step] = SandboxOutput(8, "before\n", printed)
    with pytest.raises(kind) as caught:
        async with kit.mounted():
            pytest.fail("it is not mounted")
    error = caught.value
    assert (error.step, error.exit_code, error.unrevoked_key_id) == (step, 8, None)
    assert error.code == f"SANDBOX_{step.upper()}_FAILED"
    assert str(error).endswith(": no way with mesa_***: a cause\nhint: do this")
    assert error.output.startswith("before\ntrying\n")
    assert SECRET not in shown(error)
    assert kit.api.asked == ["repo work", "make key_1", "revoke key_1"]
    assert kit.sandbox.purposes[-1 - len(after) :] == [step, *after]
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), copied.exit_code, str(copied)) == (kind, 8, str(error))


@STEPS
async def test_a_service_that_breaks_down(
    kit: Kit, step: str, kind: type[SandboxError], after: list[str]
):
    broken = ConnectionError(f'POST /run {{"MESA_ORGS":"my-org:{SECRET}1"}}: reset')
    kit.sandbox.answers[step] = broken
    with pytest.raises(kind, match=r"mesa_\*\*\*|: reset$") as caught:
        async with kit.mounted():
            pytest.fail("it is not mounted")
    assert (caught.value.exit_code, caught.value.output) == (None, "")
    assert str(caught.value.__cause__).startswith("ConnectionError: POST")
    assert SECRET not in shown(caught.value)
    assert kit.sandbox.purposes[-1] == step
    assert kit.api.asked[-1] == "revoke key_1"


async def test_a_repo_that_is_not_there_and_a_key_that_is_refused(kit: Kit):
    for refusing, kind in (("repo", SandboxRepoError), ("make", SandboxKeyError)):
        kit.api.refusing = refusing
        with pytest.raises(kind) as caught:
            async with kit.mounted():
                pytest.fail("it is not mounted")
        assert isinstance(caught.value, MesaError)
        assert isinstance(caught.value.__cause__, NotFoundError)
    assert kit.sandbox.commands == []


async def test_a_key_that_cannot_be_revoked_is_named(kit: Kit):
    kit.api.refusing = "revoke"
    with pytest.raises(SandboxRevocationError) as caught:
        async with kit.mounted():
            pass
    assert caught.value.unrevoked_key_id == "key_1"
    kit.sandbox.answers["install"] = SandboxOutput(1)
    with pytest.raises(SandboxInstallError) as other:
        async with kit.mounted():
            pass
    assert other.value.unrevoked_key_id == "key_2"


async def test_an_error_of_the_block_stays_and_tells_what_came_after(kit: Kit):
    kit.sandbox.answers["sync"] = SandboxOutput(10)
    with pytest.raises(ZeroDivisionError) as caught:
        async with kit.mounted():
            raise ZeroDivisionError
    notes = getattr(caught.value, "__notes__", ["on the server"])
    assert "on the server" in notes[0]
    assert kit.api.asked[-1] == "revoke key_1"


@pytest.mark.parametrize("stdout", ["", MARK, f'{MARK}{{"mount_point":1}}', f"{MARK}[]"])
async def test_a_mount_that_says_nothing_is_none(kit: Kit, stdout: str):
    kit.sandbox.answers["mount"] = SandboxOutput(0, stdout)
    with pytest.raises(SandboxMountError):
        async with kit.mounted():
            pass
    assert kit.api.asked[-1] == "revoke key_1"


@pytest.mark.parametrize("how", [{"isolate": True}, {"scopes": ["read"]}])
async def test_a_mount_that_writes_elsewhere_gets_no_key(kit: Kit, how: Any):
    async with kit.mounted(**how) as work:
        await result(work.renew())
    texts = [c.argv[2] for c in kit.sandbox.commands if "mesa mount" in c.argv[2]]
    assert ["mesa status" in text for text in texts] == [True, False]


async def test_a_mount_that_is_there_goes_to_the_bookmark_and_stays(kit: Kit):
    kit.sandbox.already_mounted = True
    async with kit.mounted(bookmark="draft"):
        assert kit.sandbox.purposes == ["install", "mount", "ready", "edit"]
    kit.sandbox.answers["edit"] = SandboxOutput(6)
    with pytest.raises(SandboxMountError):
        async with kit.mounted(bookmark="draft"):
            pass
    assert kit.sandbox.purposes[-1] == "edit"
    assert kit.api.asked[-1] == "revoke key_2"


async def test_commands_run_in_the_directory(kit: Kit):
    async with kit.mounted() as work:
        kit.sandbox.answers["command"] = SandboxOutput(0, "out", f"err {SECRET}1")
        done = await result(work.run("make test", env={"A": "b"}))
        assert done == SandboxOutput(0, "out", "err mesa_***")
        last = kit.sandbox.commands[-1]
        assert last.argv[2].endswith(f"cd '{POINT}/my-org/work' || exit 1\nmake test")
        assert last.env == {"A": "b"}
        kit.sandbox.answers["command"] = SandboxOutput(2, "", "no rule")
        with pytest.raises(SandboxCommandError, match=r": exit code 2\nno rule$"):
            await result(work.run("make"))


async def test_closing_twice_is_closing_once(kit: Kit):
    async with kit.mounted() as work:
        for _ in range(2):
            await result(work.close() if isinstance(work, SandboxMount) else work.aclose())
        await result(work.renew())
    assert kit.sandbox.purposes[3:] == ["sync", "unmount"]
    assert kit.api.asked[1:] == ["make key_1", "revoke key_1"]


async def test_what_is_in_use_is_unmounted_by_force_once_all_is_sent(kit: Kit):
    kit.sandbox.answers["unmount"] = SandboxOutput(6)
    async with kit.mounted():
        pass
    assert kit.sandbox.purposes[3:] == ["sync", "unmount", "unmount by force"]
    kit.sandbox.answers["unmount by force"] = SandboxOutput(1, "", "stuck")
    with pytest.raises(SandboxUnmountError) as caught:
        async with kit.mounted():
            pass
    assert caught.value.output == "stuck"
    assert kit.api.asked[-1] == "revoke key_2"


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        (SandboxOutput(10), ["sync", "unmount by force"]),
        (ConnectionError("it is gone"), ["sync"]),
    ],
)
async def test_what_is_not_on_the_server_is_told(kit: Kit, answer: Any, after: list[str]):
    kit.sandbox.answers["sync"] = answer
    with pytest.raises(SandboxSyncError):
        async with kit.mounted():
            pass
    assert kit.sandbox.purposes[3:] == after
    assert kit.api.asked[-1] == "revoke key_1"


async def test_an_interrupted_mounting_is_taken_back(kit: Kit):
    def interrupt() -> SandboxOutput:
        raise KeyboardInterrupt

    if kit.kind == "threads":
        return  # Interrupts come to the main thread.
    kit.sandbox.answers["ready"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        async with kit.mounted():
            pass
    assert kit.sandbox.purposes == ["install", "mount", "ready", "unmount by force"]
    assert kit.api.asked[-1] == "revoke key_1"


async def test_a_cancelled_block_is_left_in_order():
    kit = Kit("async")
    with anyio.CancelScope() as scope:
        async with kit.mounted():
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert kit.sandbox.purposes[3:] == ["sync", "unmount"]
    assert kit.api.asked[-1] == "revoke key_1"


async def test_a_renewal(kit: Kit):
    async with kit.mounted() as work:
        await result(work.renew())
        assert work.key_id == "key_2"
        assert kit.sandbox.commands[-1].env == {"MESA_ORGS": f"my-org:{SECRET}2"}
        assert kit.api.asked[1:] == ["make key_1", "make key_2", "revoke key_1"]
    assert kit.api.asked[-1] == "revoke key_2"


async def test_a_renewal_that_fails_keeps_the_key_that_works(kit: Kit):
    async with kit.mounted() as work:
        kit.sandbox.answers["mount"] = SandboxOutput(7, "", f"unreachable {SECRET}2")
        with pytest.raises(SandboxRenewalError) as caught:
            await result(work.renew())
        assert caught.value.exit_code == 7
        assert SECRET not in shown(caught.value)
        assert work.key_id == "key_1"
        assert kit.api.asked[2:] == ["make key_2", "revoke key_2"]
        kit.api.refusing = "make"
        with pytest.raises(SandboxRenewalError) as refused:
            await result(work.renew())
        assert isinstance(refused.value.__cause__, NotFoundError)


async def test_keys_are_renewed_by_themselves_also_after_a_failure(kit: Kit):
    kit.api.life = timedelta(seconds=1.5)
    failed: list[SandboxRenewalError] = []
    async with kit.mounted(on_renewal_error=failed.append) as work:
        kit.api.life = timedelta(hours=1)
        kit.sandbox.answers["mount"] = SandboxOutput(7)
        with anyio.fail_after(60):
            while not failed:  # noqa: ASYNC110
                await anyio.sleep(0.02)
            del kit.sandbox.answers["mount"]
            while work.key_id == "key_1" or kit.api.asked[-1] != "revoke key_1":  # noqa: ASYNC110
                await anyio.sleep(0.02)
        assert len(failed) == 1


async def test_a_key_about_to_expire_is_renewed_before_the_rest_is_sent(kit: Kit):
    kit.api.life = timedelta(seconds=20)
    async with kit.mounted():
        pass
    assert kit.sandbox.purposes[3:] == ["mount", "sync", "unmount"]
    assert kit.api.asked[2:] == ["make key_2", "revoke key_1", "revoke key_2"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"install": "apt"},
        {"timeout": 1},
        {"timeout": float("nan")},
        {"mount_point": "mnt"},
        {"version": "1; rm"},
        {"bookmark": "a,b"},
        {"server_url": "mesa.example.com"},
        {"server_url": "https://user:pass@mesa.example.com"},
        {"env": {"A B": ""}},
        {"env": {"MESA_ORGS": "o:k"}},
        {"env": {"A": "b\nc"}, "secrets": "stdin"},
    ],
)
async def test_options_that_cannot_be_right(kit: Kit, wrong: Any):
    with pytest.raises(InvalidOptionsError):
        async with kit.mounted(**wrong):
            pass
    assert (kit.api.asked, kit.sandbox.commands) == ([], [])


async def test_clients_and_sandboxes_of_one_kind():
    async def arun(_: object) -> SandboxOutput:
        return SandboxOutput(0)

    with Mesa(api_key="x") as mesa:
        with pytest.raises(InvalidOptionsError):
            mount_in_sandbox(mesa, execute(arun), repo="r")  # pyright: ignore[reportArgumentType, reportCallIssue]
        blocking = mount_in_sandbox(mesa, execute(FakeSandbox().run), repo="r")
        assert isinstance(blocking, SandboxMount)
        with pytest.raises(MesaError):
            _ = blocking.path
        blocking.close()
    async with AsyncMesa(api_key="x") as amesa:
        assert isinstance(mount_in_sandbox(amesa, execute(arun), repo="r"), AsyncSandboxMount)
