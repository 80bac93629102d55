"""`mesa://` for fsspec, and so for pandas, pyarrow, dask and others.

A path is `mesa://<org>/<repo>/<path>`, at the repo's default bookmark, or at another bookmark or
change with `<repo>@<bookmark>`; a slash in a bookmark's name is written `%2F`. Needs
`mesa-sdk[fsspec]` and the native module.
"""

# fsspec says little of its types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import io
import re
import threading
import uuid
import weakref
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast
from urllib.parse import unquote

from fsspec.spec import AbstractFileSystem

from mesa_sdk.client import Mesa
from mesa_sdk.fs import MesaFileSystem, RepoConfig
from mesa_sdk.fs._files import BUFFER_BYTES

if TYPE_CHECKING:
    from mesa_sdk.fs import Durability

_CHANGE = re.compile(r"[k-z]{32}")


class _Place(NamedTuple):
    """A path, taken apart."""

    org: str
    #: With `@<bookmark>`.
    repo: str
    #: Below the repo's root, without a slash in front.
    inner: str


class MesaFsspecFileSystem(AbstractFileSystem):
    """Repos of a server, mounted when they are first touched.

    `api_url`, `api_key`, `private_key` and `access_token` are those of :class:`mesa_sdk.Mesa`, from
    the environment when absent; `client` is one that is used instead. Directories are made as they
    are needed unless `auto_mkdir=False`. `close()`, or the end of the process, sends what was not
    sent yet; `flush()` does so in between.
    """

    protocol: ClassVar[Any] = "mesa"
    root_marker = ""
    local_file = False

    def __init__(
        self,
        *,
        api_url: str | None = None,
        api_key: str | None = None,
        private_key: str | None = None,
        access_token: str | None = None,
        client: Mesa | None = None,
        auto_mkdir: bool = True,
        durability: Durability = "fsync",
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self._client = client or Mesa(
            api_url=api_url, api_key=api_key, private_key=private_key, access_token=access_token
        )
        self.auto_mkdir = auto_mkdir
        self._durability: Durability = durability
        self._lock = threading.Lock()
        self._mounts: dict[tuple[str, str], MesaFileSystem] = {}
        owned = None if client is not None else self._client
        #: Also runs when the process ends.
        self._ending = weakref.finalize(self, _end, self._mounts, owned)

    # Paths.

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in cast("list[Any]", path)]
        text = str(path)
        for prefix in ("mesa://", "mesa::"):
            text = text.removeprefix(prefix)
        return text.strip("/")

    @classmethod
    def _parent(cls, path: str) -> str:
        return cls._strip_protocol(path).rpartition("/")[0]

    def unstrip_protocol(self, name: str) -> str:
        """With `mesa://`."""
        return f"mesa://{self._strip_protocol(name)}"

    def _place(self, path: str) -> _Place:
        org, _, rest = self._strip_protocol(path).partition("/")
        repo, _, inner = rest.partition("/")
        return _Place(org, repo, inner)

    def _at(self, path: str) -> tuple[MesaFileSystem, str]:
        """The mount of a path's repo, and the path in it."""
        org, named, inner = self._place(path)
        if not named:
            raise PermissionError(f"{path!r} is no path in a repo")
        with self._lock:
            mounted = self._mounts.get((org, named))
            if mounted is None:
                mounted = self._mounts[org, named] = self._mount(org, named)
        root = next(iter(mounted.roots.values()))
        return mounted, f"{root}/{inner}" if inner else root

    def _mount(self, org: str, named: str) -> MesaFileSystem:
        own = self._client.resolve_org()
        if org != own:
            raise FileNotFoundError(f"no org {org!r} for this credential: it is of {own!r}")
        name, _, at = named.partition("@")
        ref = unquote(at)
        config = RepoConfig(name)
        if ref:
            by_change = _CHANGE.fullmatch(ref) is not None
            config = RepoConfig(name, at={"change_id" if by_change else "bookmark": ref})
        return self._client.fs.mount(repos=[config], durability=self._durability).open()

    # What is there.

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        """What a directory holds, or the file itself."""
        whole = self._strip_protocol(path)
        found = self._listed(whole)
        return found if detail else sorted(one["name"] for one in found)

    def _listed(self, path: str) -> list[dict[str, Any]]:
        org, repo, _ = self._place(path)
        if not org:
            return [_directory(self._client.resolve_org())]
        if not repo:
            repos = self._client.repos.iterate(org=org)
            return [_directory(f"{org}/{one.name}") for one in repos]
        fs, at = self._at(path)
        info = self.info(path)
        if info["type"] != "directory":
            return [info]
        return [self.info(f"{path}/{name}") for name in fs.readdir(at)]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Attributes; symlinks are followed and told as `islink` and `destination`."""
        whole = self._strip_protocol(path)
        org, repo, _inner = self._place(whole)
        if not repo:
            if org and org != self._client.resolve_org():
                raise FileNotFoundError(whole)
            return _directory(whole)
        fs, at = self._at(whole)
        found = fs.lstat(at)
        more: dict[str, Any] = {}
        if found.is_symbolic_link:
            more = {"islink": True, "destination": fs.readlink(at)}
            try:
                found = fs.stat(at)
            except FileNotFoundError:
                more["type"] = "link"
        kind = "directory" if found.is_directory else "file"
        return {
            "name": whole,
            "size": 0 if found.is_directory else found.size,
            "type": kind,
            "mode": found.mode,
            "ino": found.ino,
            "nlink": found.nlink,
            "mtime": found.mtime_ns / 1e9,
            "created": found.ctime_ns / 1e9,
            "islink": False,
            **more,
        }

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is something."""
        try:
            self.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def lexists(self, path: str, **_: Any) -> bool:
        """The same: symlinks to nothing are something."""
        return self.exists(path)

    def modified(self, path: str) -> datetime:
        """When its content changed last."""
        return datetime.fromtimestamp(self.info(path)["mtime"], tz=timezone.utc)

    def created(self, path: str) -> datetime:
        """When its attributes changed last."""
        return datetime.fromtimestamp(self.info(path)["created"], tz=timezone.utc)

    # Directories.

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Makes a directory."""
        fs, at = self._at(path)
        if create_parents:
            self._make_parent(fs, at)
        fs.mkdir(at)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Makes a directory and its parents."""
        fs, at = self._at(path)
        if not exist_ok and fs.exists(at):
            raise FileExistsError(path)
        fs.mkdir(at, recursive=True)

    def rmdir(self, path: str) -> None:
        """Removes an empty directory."""
        fs, at = self._at(path)
        fs.rmdir(at)

    @staticmethod
    def _make_parent(fs: MesaFileSystem, at: str) -> None:
        fs.mkdir(at.rpartition("/")[0], recursive=True)

    # Removing, copying, moving.

    def _rm(self, path: str) -> None:
        fs, at = self._at(path)
        fs.rm(at)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Removes files, with `recursive` directories."""
        paths: Sequence[Any] = [path] if isinstance(path, str) else path
        if recursive and maxdepth is None and not any(_is_glob(one) for one in paths):
            for one in paths:
                fs, at = self._at(one)
                fs.rm(at, recursive=True)
            return
        super().rm(path, recursive=recursive, maxdepth=maxdepth)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copies a file; of a directory, only itself."""
        source, at = self._at(path1)
        target, to = self._at(path2)
        if source.stat(at).is_directory:
            target.mkdir(to, recursive=True)
            return
        if self.auto_mkdir:
            self._make_parent(target, to)
        if source is target:
            source.cp(at, to)
            return
        with source.open(at, "rb") as reading, target.open(to, "wb") as writing:
            while part := reading.read(BUFFER_BYTES):
                writing.write(part)

    def mv_file(self, path1: str, path2: str, **_: Any) -> None:
        """Renames a file; between repos it copies and removes."""
        source, at = self._at(path1)
        target, to = self._at(path2)
        if source is not target:
            self.cp_file(path1, path2)
            source.rm(at)
            return
        if self.auto_mkdir:
            self._make_parent(target, to)
        source.mv(at, to)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **more: Any,
    ) -> None:
        """Moves: one file or directory by renaming it."""
        is_plain = isinstance(path1, str) and isinstance(path2, str) and not _is_glob(path1)
        is_into = is_plain and (path2.endswith("/") or self.isdir(path2))
        if is_plain and not is_into and maxdepth is None and (recursive or self.isfile(path1)):
            self.mv_file(path1, path2)
            return
        super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **more)

    # Content.

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **_: Any,
    ) -> Any:
        fs, at = self._at(path)
        writes = set(mode) & set("wax+")
        if writes and self.auto_mkdir:
            self._make_parent(fs, at)
        size = block_size if isinstance(block_size, int) and block_size > 1 else -1
        if autocommit or not writes:
            return fs.open(at, mode, size)
        return _Uncommitted(fs, at, mode)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """Makes an empty file; with `truncate=False` one that is there gets the present time."""
        fs, at = self._at(path)
        if self.auto_mkdir:
            self._make_parent(fs, at)
        if truncate or not fs.exists(at):
            fs.write(at, b"")
            return
        now = datetime.now(tz=timezone.utc).timestamp() * 1000
        fs.utimes(at, now, now)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """A file's content, or a part of it; negative positions count from the end."""
        fs, at = self._at(path)
        if start is None and end is None:
            return fs.read(at)
        size = fs.stat(at).size
        begin, stop, _step = slice(start, end).indices(size)
        return fs.read_range(at, begin, max(0, stop - begin))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Writes a file; with mode `create` only a new one."""
        fs, at = self._at(path)
        if self.auto_mkdir:
            self._make_parent(fs, at)
        with fs.open(at, "xb" if mode == "create" else "wb") as file:
            file.write(value)

    # Its end.

    def flush(self) -> None:
        """Returns when everything done so far is on the server."""
        with self._lock:
            mounts = list(self._mounts.values())
        for mount in mounts:
            mount.flush()

    def close(self) -> None:
        """Sends everything and ends all mounts."""
        self._ending()
        type(self).clear_instance_cache()


class _Uncommitted(io.BufferedWriter):
    """A file of a transaction: under another name until it is committed."""

    def __init__(self, fs: MesaFileSystem, at: str, mode: str) -> None:
        self._fs = fs
        self._at = at
        directory, _, name = at.rpartition("/")
        self._hidden = f"{directory}/.{name}.{uuid.uuid4().hex}"
        if "a" in mode or "+" in mode:
            raise NotImplementedError(f"mode {mode!r} in a transaction")
        if "x" in mode and fs.exists(at):
            raise FileExistsError(at)
        super().__init__(fs.open(self._hidden, "xb", 0), BUFFER_BYTES)  # pyright: ignore[reportArgumentType]

    def commit(self) -> None:
        """Makes it appear under its name."""
        self._fs.mv(self._hidden, self._at)

    def discard(self) -> None:
        """Drops it."""
        self._fs.rm(self._hidden, force=True)


def _is_glob(path: object) -> bool:
    return any(mark in str(path) for mark in "*?[")


def _directory(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _end(mounts: dict[tuple[str, str], MesaFileSystem], client: Mesa | None) -> None:
    failed: OSError | None = None
    while mounts:
        _, mount = mounts.popitem()
        try:
            mount.close()
        except OSError as error:
            failed = failed or error
    if client is not None:
        client.close()
    if failed is not None:
        raise failed
