"""The helper on this machine: a real server, a real mount."""

import os
import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest

from mesa_sdk import AsyncMesa, AuthenticationError, FileUpsert, Mesa
from mesa_sdk.sandbox import (
    SandboxCommand,
    SandboxMountError,
    SandboxOutput,
    execute,
    mount_in_sandbox,
)
from support import ORG, Server, mesa_binary


class Machine:
    """A machine of its own as far as `mesa` is concerned: another home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        #: Every key that was handed over.
        self.keys: list[str] = []

    def run(self, command: SandboxCommand) -> SandboxOutput:
        given = f"{command.env.get('MESA_ORGS', '')}\n{command.input}"
        self.keys += re.findall(rf"{ORG}:(mesa_\S+)", given)
        return self._run(command.argv, command.env, command.input)

    def _run(self, argv: tuple[str, ...], env: Any, text: str) -> SandboxOutput:
        path = f"{mesa_binary().parent}:{os.environ['PATH']}"
        done = subprocess.run(
            argv,
            env={"PATH": path, "HOME": str(self.home), **env},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return SandboxOutput(done.returncode, done.stdout, done.stderr)

    def end(self) -> None:
        self._run(("mesa", "unmount", "--force"), {}, "")

    @property
    def point(self) -> Path:
        return self.home / ".local/share/mesa/mnt"


@pytest.fixture
def machine(tmp_path: Path) -> Generator[Machine, None, None]:
    found = Machine(tmp_path)
    yield found
    found.end()


def is_mounted(path: Path) -> bool:
    return f" {path} " in Path("/proc/mounts").read_text()


def processes() -> str:
    """Command lines and environments of all processes."""
    seen: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        for part in ("cmdline", "environ"):
            try:
                seen.append((process / part).read_text(errors="replace"))
            except OSError:
                continue  # It ended.
    return "\n".join(seen)


def is_revoked(server: Server, key: str) -> bool:
    with Mesa(api_key=key, api_url=server.url) as mesa:
        try:
            mesa.whoami()
        except AuthenticationError as error:
            return error.code == "CREDENTIAL_REVOKED"
    return False


@pytest.mark.parametrize("secrets", ["env", "stdin"])
def test_a_repo_is_mounted_worked_in_and_left(
    mesa: Mesa, server: Server, machine: Machine, secrets: Any
):
    repo = mesa.repos.create()
    runner = execute(machine.run, secrets=secrets)
    with mount_in_sandbox(mesa, runner, repo=repo, install="none") as work:
        assert work.path == str(machine.point / ORG / repo.name)
        (key,) = machine.keys
        assert key not in processes()
        work.run("mkdir notes && echo written >notes/a")
        work.sync()
        assert mesa.content.read(repo=repo.name, path="notes/a") == b"written\n"
        work.run("echo last >notes/b")
    assert not is_mounted(machine.point)
    assert mesa.content.read(repo=repo.name, path="notes/b") == b"last\n"
    assert is_revoked(server, key)


def test_a_renewal_goes_unnoticed_by_a_program(mesa: Mesa, server: Server, machine: Machine):
    repo = mesa.repos.create().name
    with mount_in_sandbox(mesa, execute(machine.run), repo=repo, install="none") as work:
        with Path(work.path, "log").open("w") as file:
            for line in ("one\n", "two\n"):
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
                work.renew()
        assert mesa.content.read(repo=repo, path="log") == b"one\ntwo\n"
        assert [is_revoked(server, key) for key in machine.keys] == [True, True, False]
    assert is_revoked(server, machine.keys[-1])


def test_a_bookmark_a_change_of_its_own_a_mount_point(mesa: Mesa, machine: Machine):
    repo = mesa.repos.create().name
    author = {"name": "Ada", "email": "ada@example.com"}
    files = [FileUpsert("a", b"draft\n")]
    made = mesa.changes.create(
        repo=repo, base_change_id="main", message="m", author=author, files=files
    )
    mesa.bookmarks.create(repo=repo, name="draft", change_id=made.id)
    how: Any = {"repo": repo, "install": "none", "mount_point": "~/a place", "bookmark": "draft"}
    runner = execute(machine.run)
    with mount_in_sandbox(mesa, runner, isolate=True, **how) as work:
        assert work.path == str(machine.home / "a place" / ORG / repo)
        assert work.run("cat a && echo mine >a").stdout == "draft\n"
        # It may not be joined by somebody else who wants to be alone.
        with pytest.raises(SandboxMountError, match="already"):
            mount_in_sandbox(mesa, runner, isolate=True, **how).open()
        work.run("echo still >b")
    assert mesa.content.read(repo=repo, change_id="draft", path="a") == b"draft\n"
    with mount_in_sandbox(mesa, runner, scopes=["read"], **how) as reader:
        assert Path(reader.path, "a").read_text() == "draft\n"
        assert "Read-only file system" in reader.run("touch b || :").stderr


def test_a_mount_that_fails_leaves_nothing_and_says_why(
    mesa: Mesa, server: Server, machine: Machine
):
    repo = mesa.repos.create().name
    away: Any = {"server_url": "http://127.0.0.1:9", "timeout": 10, "install": "none"}
    with pytest.raises(SandboxMountError, match="cannot be reached") as caught:
        mount_in_sandbox(mesa, execute(machine.run), repo=repo, **away).open()
    (key,) = machine.keys
    assert caught.value.exit_code == 7
    assert key not in f"{caught.value}{caught.value.output}"
    assert is_revoked(server, key)
    assert not is_mounted(machine.point)


@pytest.mark.anyio
@pytest.mark.parametrize("blocks", [True, False])
async def test_awaiting(server: Server, amesa: AsyncMesa, machine: Machine, blocks: bool):
    async def arun(command: SandboxCommand) -> SandboxOutput:
        return await anyio.to_thread.run_sync(machine.run, command)

    runner = execute(machine.run) if blocks else execute(arun)
    async with amesa as mesa:
        repo = (await mesa.repos.create()).name
        async with mount_in_sandbox(mesa, runner, repo=repo, install="none") as work:
            await work.run("echo written >a")
            await work.renew()
            await work.run("echo more >>a")
        assert await mesa.content.read(repo=repo, path="a") == b"written\nmore\n"
    assert all(is_revoked(server, key) for key in machine.keys)
    assert not is_mounted(machine.point)
