"""A mount in this process, for programs that block."""

from __future__ import annotations

import builtins
import errno
import io
import os
import posixpath
import stat as modes
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, overload

from mesa_sdk.fs._bash import Bash
from mesa_sdk.fs._files import BinaryMode, MesaFile, TextMode, opened
from mesa_sdk.fs._types import (
    ChangeInfo,
    CheckpointResult,
    FsEntry,
    FsStat,
    WatchEvent,
)

if TYPE_CHECKING:
    from typing_extensions import Self

    from mesa_sdk._native import FileSystem, Watch

Path = str | os.PathLike[str]

_NANOSECONDS_PER_MILLISECOND = 1_000_000


def resolve_path(base: Path, path: Path) -> str:
    """`path` as seen from `base`, without dots; symlinks are not looked at."""
    whole = posixpath.join("/", os.fspath(base), os.fspath(path))
    return "/" + posixpath.normpath(whole).lstrip("/")


class MesaFileSystem:
    """Repos as one tree of files: `/<org>/<repo>/...`, or as a layout says.

    `mesa.fs.mount(...)` makes it. Failures are Python's own: `FileNotFoundError`,
    `PermissionError` and the other `OSError`s, with `errno` and the paths; if it was the server
    that refused, `server_code` says how. May be used by several threads, but not after a fork.
    """

    #: The changes of the mounted repos.
    changes: ChangesOps
    #: Their bookmarks.
    bookmarks: BookmarksOps

    def __init__(self, native: FileSystem, org: str, roots: Mapping[str, str]) -> None:
        self._native = native
        #: Slug of the org whose repos are mounted.
        self.org = org
        #: Where each repo is, by name.
        self.roots = dict(roots)
        self.changes = ChangesOps(native, org)
        self.bookmarks = BookmarksOps(native, org)

    # Content.

    def read(self, path: Path) -> bytes:
        """A file's content."""
        return self._native.read(path)

    def read_range(self, path: Path, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer at the end."""
        return self._native.read(path, offset, length)

    def write(self, path: Path, content: bytes) -> None:
        """Creates a file or replaces its content. Its directory must be there."""
        self._native.write(path, bytes(content))

    def append(self, path: Path, content: bytes) -> None:
        """Adds to the end of a file, which is created if need be."""
        self._native.append(path, bytes(content))

    def truncate(self, path: Path, size: int) -> None:
        """Cuts a file off, or lengthens it by a hole."""
        self._native.truncate(path, size)

    @overload
    def open(
        self,
        path: Path,
        mode: TextMode = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> io.TextIOWrapper: ...
    @overload
    def open(self, path: Path, mode: BinaryMode, buffering: Literal[0]) -> MesaFile: ...  # pyright: ignore[reportOverlappingOverload]
    @overload
    def open(self, path: Path, mode: BinaryMode, buffering: int = -1) -> BinaryIO: ...
    @overload
    def open(
        self,
        path: Path,
        mode: str,
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any: ...
    def open(
        self,
        path: Path,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """Opens a file as the built-in `open` does; text is UTF-8 unless `encoding` says."""
        return opened(self._native, os.fspath(path), mode, buffering, encoding, errors, newline)

    # Names.

    def exists(self, path: Path) -> bool:
        """Whether there is something, symlinks followed."""
        return self._native.exists(path)

    def stat(self, path: Path) -> FsStat:
        """Attributes, symlinks followed."""
        return FsStat._make(self._native.stat(path))

    def lstat(self, path: Path) -> FsStat:
        """Attributes of the symlink itself."""
        return FsStat._make(self._native.stat(path, follow=False))

    def readdir(self, path: Path) -> list[str]:
        """Names in a directory."""
        return [name for name, _ in self._native.read_dir(path)]

    def scandir(self, path: Path) -> list[FsEntry]:
        """The same with their kinds."""
        return [FsEntry(name, kind) for name, kind in self._native.read_dir(path)]

    def walk(self, path: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        """As `os.walk`, from the top: symlinks are listed with the files and not followed. What is
        taken out of the list of directories is not walked.
        """
        pending = [os.fspath(path)]
        while pending:
            at = pending.pop()
            entries = self.scandir(at)
            dirs = [entry.name for entry in entries if entry.is_directory]
            yield at, dirs, [entry.name for entry in entries if not entry.is_directory]
            pending.extend(posixpath.join(at, name) for name in reversed(dirs))

    def mkdir(self, path: Path, *, recursive: bool | None = None) -> None:
        """Makes a directory; with `recursive` its parents too, and it may be there already."""
        self._native.mkdir(path, recursive=bool(recursive))

    def rmdir(self, path: Path) -> None:
        """Removes an empty directory."""
        self._native.rmdir(path)

    def rm(self, path: Path, *, recursive: bool | None = None, force: bool | None = None) -> None:
        """Removes a file, symlink or empty directory; with `recursive` a directory and all below
        it. With `force` it need not be there.
        """
        if not recursive:
            try:
                kind = self._native.stat(path, follow=False)[0]
            except FileNotFoundError:
                if force:
                    return
                raise
            if modes.S_ISDIR(kind):
                self._native.rmdir(path)
                return
        self._native.remove(path, recursive=bool(recursive), force=bool(force))

    def cp(self, src: Path, dest: Path, *, recursive: bool | None = None) -> None:
        """Copies a file; with `recursive` a directory."""
        self._native.copy(src, dest, recursive=bool(recursive))

    def mv(self, src: Path, dest: Path) -> None:
        """Renames, replacing a file; between repos it copies and removes."""
        self._native.move_to(src, dest)

    def symlink(self, target: Path, link: Path) -> None:
        """Makes a symlink; the target is stored as it is."""
        self._native.symlink(target, link)

    def link(self, existing: Path, new: Path) -> None:
        """Makes another name for a file."""
        self._native.link(existing, new)

    def readlink(self, path: Path) -> str:
        """A symlink's target."""
        return self._native.read_link(path)

    def realpath(self, path: Path) -> str:
        """The path without symlinks and dots."""
        return self._native.real_path(path)

    def resolve_path(self, base: Path, path: Path) -> str:
        """`path` as seen from `base`, without dots; nothing is looked at."""
        return resolve_path(base, path)

    # Attributes.

    def chmod(self, path: Path, mode: int) -> None:
        """Sets permission bits."""
        self._native.chmod(path, mode)

    def utimes(self, path: Path, atime_ms: float, mtime_ms: float) -> None:
        """Sets both times, in milliseconds since 1970."""
        accessed = round(atime_ms * _NANOSECONDS_PER_MILLISECOND)
        modified = round(mtime_ms * _NANOSECONDS_PER_MILLISECOND)
        self._native.set_times(path, accessed, modified)

    def set_metadata(self, path: Path, entries: Mapping[str, str | None]) -> None:
        """Sets some of a path's metadata. None, or an empty text, removes a key."""
        self._native.set_metadata(path, {key: value or None for key, value in entries.items()})

    def get_metadata(self, path: Path) -> dict[str, str]:
        """All metadata of a path; `org` and `repo` are always there and cannot be set."""
        return self._native.metadata(path)

    def clear_metadata(self, path: Path) -> None:
        """Removes all metadata of a path."""
        self._native.clear_metadata(path)

    # What others do.

    def watch(self) -> Watcher:
        """Changes that others make from now on: iterate over it, and close it."""
        return Watcher(self._native.watch())

    def subscribe(self, handler: Callable[[WatchEvent], object]) -> MesaFileSystemSubscription:
        """Calls `handler` in a thread of its own with every change that others make."""
        return MesaFileSystemSubscription(self.watch(), handler)

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
        30,000 unless said. `await bash.exec("ls | wc -l")`, or `bash.run(...)`, which blocks.
        """
        from mesa_sdk.fs._async import AsyncMesaFileSystem  # noqa: PLC0415 (it imports this)

        return Bash(AsyncMesaFileSystem(self), env, cwd, timeout_ms)

    # Its end.

    def flush(self) -> None:
        """Returns when everything done so far is on the server."""
        self._native.sync()

    def close(self) -> None:
        """Sends everything and ends the mount. Closing again does nothing."""
        if not self._native.is_closed():
            self._native.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._native.is_closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MesaFileSystem {', '.join(sorted(self.roots.values()))}>"


class ChangesOps:
    """The changes that mounted repos work on. `repo` is a name, or `org/name`."""

    def __init__(self, native: FileSystem, org: str) -> None:
        self._native = native
        self._org = org

    def new(
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
        made = self._native.new_change(
            self._org, _name(repo), bookmark=bookmark, change_id=change_id, message=message
        )
        return made[0]

    def edit(self, repo: str, *, bookmark: str | None = None, change_id: str | None = None) -> str:
        """Goes on at a bookmark or a change. Answers the change's id."""
        at = self._native.edit_change(
            self._org, _name(repo), bookmark=bookmark, change_id=change_id
        )
        return at[0]

    def list(self, repo: str, *, limit: int = 50) -> builtins.list[ChangeInfo]:
        """Changes from the one worked on, newest first; all of them with 0."""
        found = self._native.changes(self._org, _name(repo), limit)
        return [ChangeInfo(change, commit) for change, commit, _, _ in found]

    def current(self, repo: str) -> ChangeInfo:
        """The change worked on; everything written is in its commit."""
        change, commit, _, _ = self._native.current_change(self._org, _name(repo))
        return ChangeInfo(change, commit)

    def checkpoint(self, repo: str, message: str | None = None) -> CheckpointResult:
        """Closes the change worked on, with a message if one is given; work goes on in a new one on
        top, and the bookmark with it. When nothing was written there is nothing to close: both are
        the change worked on.
        """
        name = _name(repo)
        closed = self._native.checkpoint(self._org, name, message)
        active = self._native.current_change(self._org, name)
        return CheckpointResult((closed or active)[0], active[0])


class BookmarksOps:
    """The bookmarks of mounted repos. `repo` is a name, or `org/name`."""

    def __init__(self, native: FileSystem, org: str) -> None:
        self._native = native
        self._org = org

    def create(self, repo: str, name: str) -> None:
        """Makes a bookmark at the change worked on. `FileExistsError` if there is one."""
        try:
            self._native.create_bookmark(self._org, _name(repo), name)
        except OSError as error:
            if error.errno != errno.EBUSY or name not in self.list(repo):
                raise
            raise FileExistsError(errno.EEXIST, error.strerror, error.filename) from error

    def move(self, repo: str, name: str, *, change_id: str) -> None:
        """Moves a bookmark to a change."""
        self._native.move_bookmark(self._org, _name(repo), name, change_id)

    def list(self, repo: str) -> builtins.list[str]:
        """Names of the repo's bookmarks."""
        return self._native.bookmarks(self._org, _name(repo))


class Watcher:
    """Changes that others make, one by one."""

    def __init__(self, native: Watch) -> None:
        self._native = native

    def __iter__(self) -> Iterator[WatchEvent]:
        return self

    def __next__(self) -> WatchEvent:
        found = self._native.next()
        if found is None:
            raise StopIteration
        return WatchEvent(*found)

    def close(self) -> None:
        """Ends it, also for who waits for the next one."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class MesaFileSystemSubscription:
    """A thread that hands changes of others to a function."""

    def __init__(self, watcher: Watcher, handler: Callable[[WatchEvent], object]) -> None:
        self._watcher = watcher
        self._handler = handler
        self._thread = threading.Thread(target=self._pump, name="mesa-watch", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        for event in self._watcher:
            self._handler(event)

    def unsubscribe(self) -> None:
        """Ends it: the handler is not called any more when this returns."""
        self._watcher.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _name(repo: str) -> str:
    return repo.rpartition("/")[2]
