"""The asynchronous filesystem: everything the blocking one has, under asyncio and trio."""

import inspect
from collections.abc import AsyncIterator

import anyio
import pytest

from mesa_sdk import AsyncMesa, InvalidOptionsError, MesaFileSystem, WatchEvent
from mesa_sdk.fs import (
    AsyncBookmarksOps,
    AsyncChangesOps,
    AsyncMesaFileSystem,
    BookmarksOps,
    ChangesOps,
)
from mounts import ORG, Mounted, again
from support import Server, unique

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def awork(server: Server) -> AsyncIterator[tuple[AsyncMesaFileSystem, str]]:
    async with AsyncMesa(api_key=server.admin_key, api_url=server.url) as mesa:
        name = (await mesa.repos.create(name=unique("m"))).name
        async with mesa.fs.mount(repos=[name]) as fs:
            yield fs, f"/{ORG}/{name}"


def test_both_have_the_same_methods():
    pairs = (
        (MesaFileSystem, AsyncMesaFileSystem),
        (ChangesOps, AsyncChangesOps),
        (BookmarksOps, AsyncBookmarksOps),
    )
    only = {"close", "aclose", "blocking", "org", "roots"}
    for blocking, awaiting in pairs:
        names = {name for name in dir(blocking) if not name.startswith("_")}
        mine = {name for name in dir(awaiting) if not name.startswith("_")}
        assert (names ^ mine) - only == set()
        for name in names & mine:
            one, other = getattr(blocking, name), getattr(awaiting, name)
            if not callable(one):
                continue
            assert list(inspect.signature(one).parameters) == list(
                inspect.signature(other).parameters
            )
            assert one.__doc__ and other.__doc__  # noqa: PT018


async def test_everything_once(awork: tuple[AsyncMesaFileSystem, str]):
    fs, root = awork
    name = root.rpartition("/")[2]
    await fs.mkdir(f"{root}/d")
    await fs.write(f"{root}/d/f", b"one")
    await fs.append(f"{root}/d/f", b"two")
    assert await fs.read(f"{root}/d/f") == b"onetwo"
    assert await fs.read_range(f"{root}/d/f", 1, 2) == b"ne"
    await fs.truncate(f"{root}/d/f", 3)
    await fs.chmod(f"{root}/d/f", 0o600)
    await fs.utimes(f"{root}/d/f", 1000, 2000)
    assert (await fs.stat(f"{root}/d/f")).mtime_ms == 2000
    await fs.symlink("f", f"{root}/d/l")
    assert (await fs.lstat(f"{root}/d/l")).is_symbolic_link
    assert await fs.readlink(f"{root}/d/l") == "f"
    assert await fs.realpath(f"{root}/d/l") == f"{root}/d/f"
    await fs.link(f"{root}/d/f", f"{root}/d/h")
    await fs.cp(f"{root}/d", f"{root}/e", recursive=True)
    await fs.mv(f"{root}/e", f"{root}/g")
    assert [dirs async for _, dirs, _ in fs.walk(root)] == [["d", "g"], [], []]
    assert sorted(await fs.readdir(f"{root}/g")) == ["f", "h", "l"]
    assert [e.name for e in await fs.scandir(root) if e.is_directory] == ["d", "g"]
    await fs.rm(f"{root}/g", recursive=True)
    await fs.mkdir(f"{root}/g")
    await fs.rmdir(f"{root}/g")
    assert not await fs.exists(f"{root}/g")
    await fs.set_metadata(f"{root}/d/f", {"a": "b"})
    assert (await fs.get_metadata(f"{root}/d/f"))["a"] == "b"
    await fs.clear_metadata(f"{root}/d/f")
    assert fs.resolve_path(root, "x") == f"{root}/x"
    await fs.flush()
    done = await fs.changes.checkpoint(name, "Done")
    assert (await fs.changes.current(name)).change_id == done.active_change_oid
    assert await fs.changes.list(name, limit=0)
    await fs.bookmarks.create(name, "b")
    assert sorted(await fs.bookmarks.list(name)) == ["b", "main"]
    made = await fs.changes.new(name, change_id=done.saved_change_oid)
    await fs.bookmarks.move(name, "b", change_id=done.saved_change_oid)
    await fs.changes.edit(name, change_id=made)
    assert not fs.closed
    assert fs.org == ORG
    assert "Async" in repr(fs)
    with pytest.raises(FileNotFoundError):
        await fs.read(f"{root}/none")


async def test_files(awork: tuple[AsyncMesaFileSystem, str]):
    fs, root = awork
    async with await fs.open(f"{root}/f", "w") as file:
        await file.write("eins\nzwei\n")
    async with await fs.open(f"{root}/f") as file:
        assert [line async for line in file] == ["eins\n", "zwei\n"]
    async with await fs.open(f"{root}/f", "rb") as file:
        await file.seek(5)
        assert await file.read() == b"zwei\n"


async def test_many_at_once(awork: tuple[AsyncMesaFileSystem, str]):
    fs, root = awork
    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(fs.write, f"{root}/{number}", b"x")
    assert len(await fs.readdir(root)) == 200


async def test_watching(server: Server, awork: tuple[AsyncMesaFileSystem, str]):
    fs, root = awork
    await fs.readdir(root)
    send, receive = anyio.create_memory_object_stream[WatchEvent](100)
    with send, receive:
        subscription = fs.subscribe(send.send)

        def other() -> None:
            with again(server, root.rpartition("/")[2]) as mounted:
                mounted.fs.write(mounted.at("made"), b"x")

        await anyio.to_thread.run_sync(other)
        with anyio.fail_after(20):
            assert (await receive.receive()).path.startswith(root)
        await subscription.unsubscribe()
    watcher = fs.watch()
    with anyio.move_on_after(0.1) as scope:
        async for _ in watcher:
            pass
    assert scope.cancelled_caught
    watcher.close()


async def test_a_subscription_needs_the_block(work: Mounted):
    with pytest.raises(InvalidOptionsError):
        AsyncMesaFileSystem(work.fs).subscribe(print)
