"""A mount in this process, for asyncio and trio."""

from __future__ import annotations

import builtins
import inspect
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread

from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.fs._bash import Bash
from mesa_sdk.fs._filesystem import MesaFileSystem, Path, Watcher, resolve_path
from mesa_sdk.fs._types import ChangeInfo, CheckpointResult, FsEntry, FsStat, WatchEvent

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, Self

    P = ParamSpec("P")

T = TypeVar("T")

#: Calls of one mount that are under way at the same time.
_CALLS_MAX = 32


class _Threads:
    """Where calls wait, so that the loop does not."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_CALLS_MAX)
        # What began is waited for, also by who is cancelled: nobody knows otherwise what was done.
        bound = partial(call, *args, **kwargs)
        return await anyio.to_thread.run_sync(bound, limiter=self._limiter)


class AsyncMesaFileSystem:
    """Repos as one tree of files: `/<org>/<repo>/...`, or as a layout says.

    The same as :class:`MesaFileSystem`, whose methods are coroutine functions here.
    """

    #: The changes of the mounted repos.
    changes: AsyncChangesOps
    #: Their bookmarks.
    bookmarks: AsyncBookmarksOps

    def __init__(self, blocking: MesaFileSystem) -> None:
        #: The same for programs that block.
        self.blocking = blocking
        self._threads = _Threads()
        self._tasks: anyio.abc.TaskGroup | None = None
        self.changes = AsyncChangesOps(blocking, self._threads)
        self.bookmarks = AsyncBookmarksOps(blocking, self._threads)

    @property
    def org(self) -> str:
        """Slug of the org whose repos are mounted."""
        return self.blocking.org

    @property
    def roots(self) -> dict[str, str]:
        """Where each repo is, by name."""
        return self.blocking.roots

    # Content.

    async def read(self, path: Path) -> bytes:
        """A file's content."""
        return await self._threads.run(self.blocking.read, path)

    async def read_range(self, path: Path, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer at the end."""
        return await self._threads.run(self.blocking.read_range, path, offset, length)

    async def write(self, path: Path, content: bytes) -> None:
        """Creates a file or replaces its content. Its directory must be there."""
        await self._threads.run(self.blocking.write, path, content)

    async def append(self, path: Path, content: bytes) -> None:
        """Adds to the end of a file, which is created if need be."""
        await self._threads.run(self.blocking.append, path, content)

    async def truncate(self, path: Path, size: int) -> None:
        """Cuts a file off, or lengthens it by a hole."""
        await self._threads.run(self.blocking.truncate, path, size)

    async def open(
        self,
        path: Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> anyio.AsyncFile[Any]:
        """Opens a file, as `anyio.open_file` does: `async with await fs.open(path) as file`."""
        file: io.IOBase = await self._threads.run(
            self.blocking.open, path, mode, buffering, encoding, errors, newline
        )
        return anyio.wrap_file(file)  # pyright: ignore[reportArgumentType, reportUnknownVariableType]

    # Names.

    async def exists(self, path: Path) -> bool:
        """Whether there is something, symlinks followed."""
        return await self._threads.run(self.blocking.exists, path)

    async def stat(self, path: Path) -> FsStat:
        """Attributes, symlinks followed."""
        return await self._threads.run(self.blocking.stat, path)

    async def lstat(self, path: Path) -> FsStat:
        """Attributes of the symlink itself."""
        return await self._threads.run(self.blocking.lstat, path)

    async def readdir(self, path: Path) -> list[str]:
        """Names in a directory."""
        return await self._threads.run(self.blocking.readdir, path)

    async def scandir(self, path: Path) -> list[FsEntry]:
        """The same with their kinds."""
        return await self._threads.run(self.blocking.scandir, path)

    async def walk(self, path: Path) -> AsyncIterator[tuple[str, list[str], list[str]]]:
        """As `os.walk`, from the top: symlinks are listed with the files and not followed."""
        steps = self.blocking.walk(path)
        while (step := await self._threads.run(next, steps, None)) is not None:
            yield step

    async def mkdir(self, path: Path, *, recursive: bool | None = None) -> None:
        """Makes a directory; with `recursive` its parents too, and it may be there already."""
        await self._threads.run(self.blocking.mkdir, path, recursive=recursive)

    async def rmdir(self, path: Path) -> None:
        """Removes an empty directory."""
        await self._threads.run(self.blocking.rmdir, path)

    async def rm(
        self, path: Path, *, recursive: bool | None = None, force: bool | None = None
    ) -> None:
        """Removes a file, symlink or empty directory; with `recursive` a directory and all below
        it. With `force` it need not be there.
        """
        await self._threads.run(self.blocking.rm, path, recursive=recursive, force=force)

    async def cp(self, src: Path, dest: Path, *, recursive: bool | None = None) -> None:
        """Copies a file; with `recursive` a directory."""
        await self._threads.run(self.blocking.cp, src, dest, recursive=recursive)

    async def mv(self, src: Path, dest: Path) -> None:
        """Renames, replacing a file; between repos it copies and removes."""
        await self._threads.run(self.blocking.mv, src, dest)

    async def symlink(self, target: Path, link: Path) -> None:
        """Makes a symlink; the target is stored as it is."""
        await self._threads.run(self.blocking.symlink, target, link)

    async def link(self, existing: Path, new: Path) -> None:
        """Makes another name for a file."""
        await self._threads.run(self.blocking.link, existing, new)

    async def readlink(self, path: Path) -> str:
        """A symlink's target."""
        return await self._threads.run(self.blocking.readlink, path)

    async def realpath(self, path: Path) -> str:
        """The path without symlinks and dots."""
        return await self._threads.run(self.blocking.realpath, path)

    def resolve_path(self, base: Path, path: Path) -> str:
        """`path` as seen from `base`, without dots; nothing is looked at."""
        return resolve_path(base, path)

    # Attributes.

    async def chmod(self, path: Path, mode: int) -> None:
        """Sets permission bits."""
        await self._threads.run(self.blocking.chmod, path, mode)

    async def utimes(self, path: Path, atime_ms: float, mtime_ms: float) -> None:
        """Sets both times, in milliseconds since 1970."""
        await self._threads.run(self.blocking.utimes, path, atime_ms, mtime_ms)

    async def set_metadata(self, path: Path, entries: Mapping[str, str | None]) -> None:
        """Sets some of a path's metadata. None, or an empty text, removes a key."""
        await self._threads.run(self.blocking.set_metadata, path, entries)

    async def get_metadata(self, path: Path) -> dict[str, str]:
        """All metadata of a path; `org` and `repo` are always there and cannot be set."""
        return await self._threads.run(self.blocking.get_metadata, path)

    async def clear_metadata(self, path: Path) -> None:
        """Removes all metadata of a path."""
        await self._threads.run(self.blocking.clear_metadata, path)

    # What others do.

    def watch(self) -> AsyncWatcher:
        """Changes that others make from now on: `async for` over it, and close it."""
        return AsyncWatcher(self.blocking.watch())

    def subscribe(
        self, handler: Callable[[WatchEvent], Awaitable[object] | object]
    ) -> AsyncMesaFileSystemSubscription:
        """Calls `handler`, which may be a coroutine function, with every change that others make.

        It works in the background of the mount's `async with` block, which its errors end.
        """
        if self._tasks is None:
            raise InvalidOptionsError("subscribe works within the mount's `async with` block")
        subscription = AsyncMesaFileSystemSubscription(self.watch(), handler)
        self._tasks.start_soon(subscription.pump)
        return subscription

    # A shell.

    def bash(
        self,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout_ms: int | None = None,
    ) -> Bash:
        """A shell inside of the process whose only files are these; needs `mesa-sdk[bash]`.

        Nothing of the host is run or seen, not even its environment. `cwd` is `/` and `timeout_ms`
        30,000 unless said. `await bash.exec("ls | wc -l")`.
        """
        return Bash(self, env, cwd, timeout_ms)

    # Its end.

    async def flush(self) -> None:
        """Returns when everything done so far is on the server."""
        await self._threads.run(self.blocking.flush)

    async def aclose(self) -> None:
        """Sends everything and ends the mount. Closing again does nothing."""
        with anyio.CancelScope(shield=True):
            await self._threads.run(self.blocking.close)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self.blocking.closed

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks, self._tasks = self._tasks, None
        try:
            if tasks is not None:
                tasks.cancel_scope.cancel()
                # Without the block's error, which it would wrap in a group.
                await tasks.__aexit__(None, None, None)
        finally:
            await self.aclose()

    def __repr__(self) -> str:
        return f"<Async{repr(self.blocking)[1:]}"


class AsyncChangesOps:
    """The changes that mounted repos work on. `repo` is a name, or `org/name`."""

    def __init__(self, fs: MesaFileSystem, threads: _Threads) -> None:
        self._ops = fs.changes
        self._threads = threads

    async def new(
        self,
        repo: str,
        *,
        bookmark: str | None = None,
        change_id: str | None = None,
        message: str | None = None,
    ) -> str:
        """Makes a change on top of a bookmark's or of another, or of the one worked on, and goes on
        there. Answers its id.
        """
        return await self._threads.run(
            self._ops.new, repo, bookmark=bookmark, change_id=change_id, message=message
        )

    async def edit(
        self, repo: str, *, bookmark: str | None = None, change_id: str | None = None
    ) -> str:
        """Goes on at a bookmark or a change. Answers the change's id."""
        return await self._threads.run(self._ops.edit, repo, bookmark=bookmark, change_id=change_id)

    async def list(self, repo: str, *, limit: int = 50) -> builtins.list[ChangeInfo]:
        """Changes from the one worked on, newest first; all of them with 0."""
        return await self._threads.run(self._ops.list, repo, limit=limit)

    async def current(self, repo: str) -> ChangeInfo:
        """The change worked on; everything written is in its commit."""
        return await self._threads.run(self._ops.current, repo)

    async def checkpoint(self, repo: str, message: str | None = None) -> CheckpointResult:
        """Closes the change worked on, with a message if one is given; work goes on in a new one on
        top, and the bookmark with it. When nothing was written there is nothing to close: both are
        the change worked on.
        """
        return await self._threads.run(self._ops.checkpoint, repo, message)


class AsyncBookmarksOps:
    """The bookmarks of mounted repos. `repo` is a name, or `org/name`."""

    def __init__(self, fs: MesaFileSystem, threads: _Threads) -> None:
        self._ops = fs.bookmarks
        self._threads = threads

    async def create(self, repo: str, name: str) -> None:
        """Makes a bookmark at the change worked on. `FileExistsError` if there is one."""
        await self._threads.run(self._ops.create, repo, name)

    async def move(self, repo: str, name: str, *, change_id: str) -> None:
        """Moves a bookmark to a change."""
        await self._threads.run(self._ops.move, repo, name, change_id=change_id)

    async def list(self, repo: str) -> builtins.list[str]:
        """Names of the repo's bookmarks."""
        return await self._threads.run(self._ops.list, repo)


class AsyncWatcher:
    """Changes that others make, one by one."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def __aiter__(self) -> AsyncIterator[WatchEvent]:
        return self

    async def __anext__(self) -> WatchEvent:
        try:
            # A thread that nobody waits for any more ends with the next change, or with the mount.
            found = await anyio.to_thread.run_sync(
                next, self._watcher, None, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        except anyio.get_cancelled_exc_class():
            self._watcher.close()
            raise
        if found is None:
            raise StopAsyncIteration
        return found

    def close(self) -> None:
        """Ends it, also for who waits for the next one."""
        self._watcher.close()


class AsyncMesaFileSystemSubscription:
    """Hands changes of others to a function."""

    def __init__(
        self,
        watcher: AsyncWatcher,
        handler: Callable[[WatchEvent], Awaitable[object] | object],
    ) -> None:
        self._watcher = watcher
        self._handler = handler
        self._is_over = False

    async def pump(self) -> None:
        """Until the end."""
        async for event in self._watcher:
            if self._is_over:
                return
            done: Any = self._handler(event)
            if inspect.isawaitable(done):
                await done

    async def unsubscribe(self) -> None:
        """Ends it: the handler is not called any more when this returns."""
        self._is_over = True
        self._watcher.close()
        await anyio.lowlevel.checkpoint()
