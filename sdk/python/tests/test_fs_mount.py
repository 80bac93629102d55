"""What mounts are made with: credentials, layouts, branches, both kinds of client."""

import errno
import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from mesa_sdk import (
    AsyncMesa,
    DiskCacheConfig,
    InvalidOptionsError,
    Mesa,
    MesaFileSystem,
    NativeModuleMissingError,
    PrivateKey,
    RepoConfig,
    repo,
)
from mesa_sdk.fs import _mount
from mounts import ORG, Mounted, again, eventually, mounted
from support import Server, unique


def test_blocking(server: Server):
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        name = mesa.repos.create(name=unique("m")).name
        with mesa.fs.mount(repos=[f"{ORG}/{name}"]) as fs:
            fs.write(f"/{ORG}/{name}/f", b"x")
            assert name in repr(fs)
            assert fs.roots == {name: f"/{ORG}/{name}"}
        assert fs.closed
        # What was written is on the server when the block is over.
        assert mesa.content.read(repo=name, path="f") == b"x"
        opened = mesa.fs.mount(repos=[name]).open()
        with opened:
            assert opened.read(f"/{ORG}/{name}/f") == b"x"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_awaiting(server: Server, backend: str):
    async def program() -> None:
        async with AsyncMesa(api_key=server.admin_key, api_url=server.url) as mesa:
            name = (await mesa.repos.create(name=unique("m"))).name
            async with mesa.fs.mount(repos=[name]) as fs:
                await fs.write(f"/{ORG}/{name}/f", b"x")
            assert fs.closed
            assert await mesa.content.read(repo=name, path="f") == b"x"

    anyio.run(program, backend=backend)


@pytest.mark.anyio
async def test_a_blocking_client_in_a_program_that_awaits(server: Server):
    """As programs for the published package are written that make no `async with` of the client."""
    mesa = Mesa(api_key=server.admin_key, api_url=server.url)
    name = mesa.repos.create(name=unique("m")).name
    async with mesa.fs.mount(repos=[name]) as fs:
        await fs.write(f"/{ORG}/{name}/f", b"x")
        assert await fs.read(f"/{ORG}/{name}/f") == b"x"
    mesa.close()


def test_a_private_key(
    server: Server, private_key: PrivateKey, mesa: Mesa, monkeypatch: pytest.MonkeyPatch
):
    name = mesa.repos.create(name=unique("m")).name
    granted: list[Any] = []
    sign = _mount._Signer.sign  # pyright: ignore[reportPrivateUsage]

    def noting(self: Any) -> Any:
        granted.append(self.grant)
        return sign(self)

    monkeypatch.setattr(_mount._Signer, "sign", noting)  # pyright: ignore[reportPrivateUsage]
    authors = [{"name": "Ada", "email": "ada@example.com"}]
    with (
        Mesa(private_key=private_key.text, api_url=server.url) as signing,
        signing.fs.mount(repos=[name], authors=authors, ttl=600) as fs,
    ):
        fs.write(f"/{ORG}/{name}/f", b"x")
    assert mesa.content.read(repo=name, path="f") == b"x"
    assert granted[-1].access == {name: "write-repo"}
    assert [author.name for author in granted[-1].authors] == ["Ada"]


def test_an_access_token_is_used_as_it_is(server: Server, mesa: Mesa):
    mine, other = (mesa.repos.create(name=unique("m")).name for _ in range(2))
    token = mesa.tokens.create(scopes=["read", "write"], repos=[mine]).token
    with Mesa(access_token=token, api_url=server.url) as inside:
        with inside.fs.mount(repos=[mine]) as fs:
            fs.write(f"/{ORG}/{mine}/f", b"x")
        with pytest.raises(FileNotFoundError, match=other), inside.fs.mount(repos=[other]):
            pass
        with pytest.raises(InvalidOptionsError), inside.fs.mount(repos=[mine], ttl=60):
            pass


def test_only_what_the_mount_needs(server: Server, monkeypatch: pytest.MonkeyPatch, mesa: Mesa):
    granted: list[Any] = []
    sign = _mount._Signer.sign  # pyright: ignore[reportPrivateUsage]

    def noting(self: Any) -> Any:
        granted.append(self.grant)
        return sign(self)

    monkeypatch.setattr(_mount._Signer, "sign", noting)  # pyright: ignore[reportPrivateUsage]
    names = [mesa.repos.create(name=unique("m")).name for _ in range(2)]
    with mesa.fs.mount(repos=[RepoConfig(name, mode="ro") for name in names]):
        pass
    assert granted[-1].scopes == ("read",)
    assert granted[-1].repos == names
    with mesa.fs.mount(repos=names):
        pass
    assert granted[-1].scopes == ("read", "write")


def test_a_mount_outlives_its_tokens(server: Server, mesa: Mesa, monkeypatch: pytest.MonkeyPatch):
    signed: list[float] = []
    sign = _mount._Signer.sign  # pyright: ignore[reportPrivateUsage]

    def noting(self: Any) -> Any:
        made = sign(self)
        signed.append(made.expires_at.timestamp())
        return made

    monkeypatch.setattr(_mount._Signer, "sign", noting)  # pyright: ignore[reportPrivateUsage]
    name = mesa.repos.create(name=unique("m")).name
    with mesa.fs.mount(repos=[name], ttl=3) as fs:
        first = signed[0]
        eventually(lambda: time.time() > first + 1)
        fs.write(f"/{ORG}/{name}/late", b"late")
        fs.flush()
    assert len(signed) >= 2
    assert mesa.content.read(repo=name, path="late") == b"late"


def test_a_credential_that_is_refused(server: Server, mesa: Mesa):
    name = mesa.repos.create(name=unique("m")).name
    with Mesa(access_token="x.y.z", api_url=server.url, org=ORG) as bad:
        with pytest.raises(PermissionError) as caught, bad.fs.mount(repos=[name]):
            pass
    assert getattr(caught.value, "server_code", None)


def test_a_server_that_is_not_there(mesa: Mesa):
    with Mesa(access_token="x.y.z", api_url="http://127.0.0.1:9", org=ORG) as none:
        with pytest.raises(OSError), none.fs.mount(repos=["r"]):
            pass


def test_a_layout(server: Server, mesa: Mesa):
    code, docs = (mesa.repos.create(name=unique(stem)).name for stem in ("code", "docs"))
    with mesa.fs.mount(repos=[docs]) as fs:
        fs.write(f"/{ORG}/{docs}/guide.md", b"# Guide\n")
    definition = mesa.fs(
        layout={
            "/workspace": repo(code, mode="rw"),
            "/ref": [repo(docs, mode="ro", alias="manual")],
        }
    )
    with definition.mount() as fs:
        assert sorted(fs.readdir("/")) == ["ref", "workspace"]
        assert fs.readdir("/ref") == ["manual"]
        assert fs.read("/ref/manual/guide.md") == b"# Guide\n"
        fs.write("/workspace/main.py", b"print()\n")
        assert fs.realpath("/workspace/../ref/manual") == "/ref/manual"
        with pytest.raises(OSError, match="[Rr]ead-only"):
            fs.write("/ref/manual/new", b"")
        assert fs.roots == {code: "/workspace", docs: "/ref/manual"}
        assert fs.changes.current(code).change_id
    assert mesa.content.read(repo=code, path="main.py") == b"print()\n"
    token = definition.token()
    with Mesa(access_token=token.token, api_url=server.url) as inside:
        assert {one.name for one in inside.repos.list().repos} == {code, docs}


@pytest.mark.anyio
async def test_a_layout_of_a_client_that_awaits(
    server: Server, private_key: PrivateKey, mesa: Mesa
):
    name = mesa.repos.create(name=unique("m")).name
    async with AsyncMesa(private_key=private_key.text, api_url=server.url) as signing:
        definition = signing.fs(
            layout={"/workspace": repo(name, mode="rw")}, authors=[{"name": "Bot"}], ttl=600
        )
        assert json.loads(json.dumps(definition.layout()))["/workspace"]["name"] == name
        assert (await definition.token()).token
        async with definition.mount() as fs:
            await fs.write("/workspace/f", b"x")
            assert await fs.readdir("/workspace") == ["f"]


def test_a_branch_of_its_own(server: Server, work: Mounted):
    work.fs.write(work.at("base"), b"base")
    work.fs.flush()
    fork = RepoConfig(
        work.repo,
        branched_from={"bookmark": "main", "as": {"bookmark": "mine", "describe": "Try it"}},
    )
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        with mesa.fs.mount(repos=[fork]) as fs:
            assert fs.read(work.at("base")) == b"base"
            fs.write(work.at("tried"), b"x")
            fs.flush()
            assert sorted(fs.bookmarks.list(work.repo)) == ["main", "mine"]
            change = fs.changes.current(work.repo).change_id
        found = mesa.bookmarks.get(repo=work.repo, bookmark="mine")
        assert found.change_id == change
        assert mesa.changes.get(repo=work.repo, change_id=change).message == "Try it"
    assert not work.fs.exists(work.at("tried"))


def test_at_a_bookmark_and_at_a_change(server: Server, work: Mounted):
    work.fs.write(work.at("f"), b"one")
    first = work.fs.changes.checkpoint(work.repo, "One").saved_change_oid
    work.fs.write(work.at("f"), b"two")
    work.fs.flush()
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        at = RepoConfig(work.repo, change_id=first, read_only=True)
        with mesa.fs.mount(repos=[at]) as fs:
            assert fs.read(work.at("f")) == b"one"
        with mesa.fs.mount(repos=[RepoConfig(work.repo, "main")]) as fs:
            assert fs.read(work.at("f")) == b"two"


def test_isolated(server: Server, work: Mounted):
    with again(server, work.repo, isolate=True) as other:
        other.fs.write(other.at("mine"), b"x")
        other.fs.flush()
        assert not work.fs.exists(work.at("mine"))
        assert other.fs.changes.current(work.repo).change_id


def test_kept_content_and_state(server: Server, tmp_path: Path, mesa: Mesa):
    name = mesa.repos.create(name=unique("m")).name
    options: dict[str, Any] = {
        "disk_cache": DiskCacheConfig(str(tmp_path / "cache"), max_size_bytes=10_000_000),
        "state_dir": str(tmp_path / "state"),
    }
    with mesa.fs.mount(repos=[name], **options) as fs:
        fs.write(f"/{ORG}/{name}/f", b"x" * 100_000)
    opened: list[MesaFileSystem] = []

    def again() -> bool:
        """A directory of state is let go of some time after its mount was closed."""
        try:
            opened.append(mesa.fs.mount(repos=[name], **options).open())
        except OSError as error:
            assert error.errno == errno.EBUSY  # noqa: PT017
            return False
        return True

    eventually(again)
    with opened[0] as fs:
        assert len(fs.read(f"/{ORG}/{name}/f")) == 100_000
    assert list((tmp_path / "state").iterdir())


@pytest.mark.parametrize("durability", ["fsync", "close", "write", "local"])
def test_durability(server: Server, durability: Any):
    with mounted(server, durability=durability) as work:
        work.fs.write(work.at("f"), b"x")
        if durability in ("close", "write"):
            assert work.mesa.content.read(repo=work.repo, path="f") == b"x"
        assert work.on_server("f") == b"x"


def test_an_unknown_durability(mesa: Mesa):
    name = mesa.repos.create().name
    with pytest.raises(ValueError, match="durability"):
        mesa.fs.mount(repos=[name], durability="always").open()  # pyright: ignore[reportArgumentType]


def test_what_fails_at_the_end_does_not_hide_what_failed_before(work: Mounted, server: Server):
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        key = mesa.api_keys.create(name="short", scopes=["read", "write"])
        with Mesa(api_key=key.key, api_url=server.url) as short:
            mount = short.fs.mount(repos=[work.repo])
            with pytest.raises(ZeroDivisionError) as caught, mount as fs:
                fs.write(work.at("f"), b"x")
                mesa.api_keys.revoke(key_id=key.id)
                raise ZeroDivisionError
    assert caught.type is ZeroDivisionError


def test_without_the_native_module(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mesa_sdk._native", None)
    with Mesa(api_key="x", org="o") as mesa:
        assert mesa.fs(layout={"/w": repo("r", mode="rw")}).layout()
        with pytest.raises(NativeModuleMissingError, match="mesa mount") as caught:
            mesa.fs.mount(repos=["r"]).open()
        assert isinstance(caught.value, ImportError)

    async def program() -> None:
        async with AsyncMesa(api_key="x", org="o") as mesa:
            with pytest.raises(NativeModuleMissingError):
                async with mesa.fs.mount(repos=["r"]):
                    pass

    anyio.run(program)


def test_fifty_mounts_in_one_process(server: Server, mesa: Mesa):
    name = mesa.repos.create(name=unique("m")).name
    root = f"/{ORG}/{name}"
    mounts = [mesa.fs.mount(repos=[name]).open() for _ in range(50)]
    for number, fs in enumerate(mounts):
        fs.write(f"{root}/{number}", b"x")
    for fs in mounts:
        fs.flush()
    eventually(lambda: len(mounts[0].readdir(root)) == 50)
    for fs in mounts:
        fs.close()
    root_now = mesa.content.get(repo=name)
    assert root_now.type == "dir"
    assert root_now.child_count == 50


FORKED = """
import multiprocessing, sys
from mesa_sdk import Mesa

def child(fs, path):
    try:
        fs.read(path)
    except RuntimeError as error:
        print(error)

with Mesa() as mesa:
    name = mesa.repos.create().name
    with mesa.fs.mount(repos=[name]) as fs:
        path = fs.roots[name] + "/f"
        fs.write(path, b"x")
        process = multiprocessing.get_context("fork").Process(target=child, args=(fs, path))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        assert fs.read(path) == b"x"
"""

KILLED = """
import os, signal
from mesa_sdk import Mesa

with Mesa() as mesa, mesa.fs.mount(repos=[os.environ["REPO"]], durability="write") as fs:
    root = fs.roots[os.environ["REPO"]]
    for number in range(100000):
        fs.write(f"{root}/{number:06}", b"x" * number)
        print(number, flush=True)
"""

INTERRUPTED = """
import os, signal, threading, time
from mesa_sdk import Mesa

with Mesa() as mesa:
    name = mesa.repos.create().name
    with mesa.fs.mount(repos=[name]) as fs:
        watcher = fs.watch()
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            next(watcher)
        except KeyboardInterrupt:
            print("interrupted")
"""


def program(server: Server, text: str, **more: str) -> "subprocess.Popen[str]":
    environment = {"MESA_API_URL": server.url, "MESA_API_KEY": server.admin_key, **more}
    return subprocess.Popen(
        [sys.executable, "-W", "error::ResourceWarning", "-c", text],
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_fork_is_told_that_it_has_no_mount(server: Server):
    said, error = program(server, FORKED).communicate(timeout=60)
    assert "does not survive a fork" in said, error


def test_an_interrupt_ends_a_wait(server: Server):
    said, error = program(server, INTERRUPTED).communicate(timeout=60)
    assert said == "interrupted\n", error


def test_a_process_that_is_killed_leaves_a_prefix(server: Server, mesa: Mesa):
    name = mesa.repos.create(name=unique("m")).name
    running = program(server, KILLED, REPO=name)
    assert running.stdout is not None
    for _ in range(30):
        running.stdout.readline()
    running.kill()
    rest = running.communicate(timeout=60)[0].split()
    done = 30 + len(rest)
    with mesa.fs.mount(repos=[name], mode="ro") as fs:
        names = sorted(fs.readdir(f"/{ORG}/{name}"))
        assert names == [f"{number:06}" for number in range(len(names))]
        assert done <= len(names) <= done + 1
        for one in names[:done]:
            assert fs.stat(f"/{ORG}/{name}/{one}").size == int(one)


def test_times(work: Mounted):
    work.fs.write(work.at("f"), b"")
    assert (
        abs(work.fs.stat(work.at("f")).mtime_ms / 1000 - time.time()) < timedelta(hours=1).seconds
    )
