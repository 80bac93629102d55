"""Mounts: what they are given, and the clients' `fs`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio.to_thread

from mesa_sdk import _tokens
from mesa_sdk._credentials import ApiKey, Token
from mesa_sdk._private_key import PrivateKey
from mesa_sdk._settings import Settings
from mesa_sdk._transport import AsyncTransport, SyncTransport
from mesa_sdk.errors import InvalidOptionsError, NativeModuleMissingError
from mesa_sdk.fs import _layout
from mesa_sdk.fs._async import AsyncMesaFileSystem
from mesa_sdk.fs._config import DiskCacheConfig, Durability, MountMode, RepoConfig, repo_configs
from mesa_sdk.fs._filesystem import MesaFileSystem
from mesa_sdk.fs._layout import Layout, LayoutEntry
from mesa_sdk.models import AccessToken
from mesa_sdk.types import Author

if TYPE_CHECKING:
    from mesa_sdk import _native

    Authors = Sequence[Author | Mapping[str, str | None]]

_NATIVE = "mesa_sdk._native"


@dataclass(frozen=True)
class _Wanted:
    """What one mount is to be."""

    #: By where they appear; None: at `/<org>/<name>`.
    repos: Sequence[tuple[str | None, RepoConfig]]
    authors: Sequence[Author]
    ttl: int | None
    disk_cache: DiskCacheConfig | None = None
    state_dir: str | None = None
    durability: Durability = "fsync"
    org: str | None = None

    def grant(self, settings: Settings) -> _tokens.Grant:
        """The least that is enough."""
        configs = [config for _, config in self.repos]
        if isinstance(settings.credential, PrivateKey):
            return _tokens.Grant(
                access={c.name: "read-repo" if c.read_only else "write-repo" for c in configs},
                authors=self.authors,
                ttl_seconds=self.ttl,
            )
        writes = not all(config.read_only for config in configs)
        return _tokens.Grant(
            scopes=("read", "write") if writes else ("read",),
            repos=[config.name for config in configs],
            authors=self.authors,
            ttl_seconds=self.ttl,
        )


@dataclass(frozen=True)
class _Signer:
    """Signs a mount's tokens, without asking anybody."""

    settings: Settings
    grant: _tokens.Grant
    org: str
    #: Of API keys.
    key_id: str | None = field(default=None)

    def sign(self) -> AccessToken:
        key = self.settings.credential
        if isinstance(key, PrivateKey):
            return _tokens.with_private_key(key, self.grant, _tokens.Moment())
        if isinstance(key, ApiKey) and self.key_id is not None:
            moment = _tokens.Moment()
            return _tokens.with_api_key(key.key, self.key_id, self.org, self.grant, moment)
        raise InvalidOptionsError("an access token cannot sign others; use the key behind it")

    def for_native(self, _org: str) -> tuple[str, float | None]:
        """Asked before the token that it had expires."""
        made = self.sign()
        return made.token, made.expires_at.timestamp()

    def credential(self) -> str | Callable[[str], tuple[str, float | None]]:
        """What the native module gets: a token that somebody else signed is used to its end."""
        key = self.settings.credential
        if not isinstance(key, Token):
            # Refused here rather than at the first use.
            self.sign()
            return self.for_native
        if self.grant.authors or self.grant.ttl_seconds is not None:
            raise InvalidOptionsError("authors and ttl cannot be given to an access token")
        return key.token


def _needs_key_id(settings: Settings) -> bool:
    return isinstance(settings.credential, ApiKey)


def native() -> Any:
    """The native module. Raises :class:`NativeModuleMissingError` if it is not there or cannot be
    loaded; `__cause__` says why.
    """
    try:
        return importlib.import_module(_NATIVE)
    except ImportError as error:
        raise NativeModuleMissingError from error


def _opened(signer: _Signer, wanted: _Wanted) -> MesaFileSystem:
    """Connects; blocks."""
    org = signer.org
    repos: list[Any] = []
    roots: dict[str, str] = {}
    for path, config in wanted.repos:
        at = config.branched_from.parent if config.branched_from is not None else config.at
        place = (at.bookmark, at.change_id, config.read_only, config.isolate, path)
        repos.append((org, config.name, *place))
        roots[config.name] = path or f"/{org}/{config.name}"
    module = native()
    cache = wanted.disk_cache
    made: _native.FileSystem = module.FileSystem(
        signer.settings.base,
        signer.credential(),
        repos,
        durability=wanted.durability,
        state_dir=wanted.state_dir,
        cache_dir=None if cache is None else cache.path,
        cache_bytes_max=None if cache is None else cache.max_size_bytes,
        ca_file=os.environ.get("MESA_CA_FILE") or None,
        user_agent=signer.settings.user_agent,
    )
    fs = MesaFileSystem(made, org, roots)
    try:
        made.ready()
        for _, config in wanted.repos:
            _branch(made, org, config)
    except BaseException:
        fs.close()
        raise
    return fs


def _branch(made: _native.FileSystem, org: str, config: RepoConfig) -> None:
    branch = config.branched_from
    if branch is None:
        return
    parent = branch.parent
    if parent.bookmark is None and parent.change_id is None:
        raise InvalidOptionsError(f"{config.name}: branched_from names nothing")
    made.new_change(
        org,
        config.name,
        bookmark=parent.bookmark,
        change_id=parent.change_id,
        message=branch.message,
    )
    if branch.bookmark is not None:
        made.create_bookmark(org, config.name, branch.bookmark)


class _Mounting:
    """A mount that begins with its block."""

    def __init__(
        self, transport: SyncTransport | AsyncTransport, wanted: Callable[[str], _Wanted]
    ) -> None:
        self._transport = transport
        self._wanted = wanted
        self._blocking: MesaFileSystem | None = None
        self._awaiting: AsyncMesaFileSystem | None = None

    def _open(self, org: str, key_id: str | None) -> MesaFileSystem:
        wanted = self._wanted(org)
        settings = self._transport.settings
        signer = _Signer(settings, wanted.grant(settings), org, key_id)
        return _opened(signer, wanted)


class AsyncMount(_Mounting):
    """What `fs.mount` of :class:`AsyncMesa` answers: `async with` it."""

    async def __aenter__(self) -> AsyncMesaFileSystem:
        native()
        transport = cast("AsyncTransport", self._transport)
        org = await transport.org()
        key_id = await transport.key_id() if _needs_key_id(transport.settings) else None
        return await self._entered(org, key_id)

    async def _entered(self, org: str, key_id: str | None) -> AsyncMesaFileSystem:
        blocking = await anyio.to_thread.run_sync(self._open, org, key_id)
        self._awaiting = AsyncMesaFileSystem(blocking)
        return await self._awaiting.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._awaiting is not None:
            await _ended(error, self._awaiting.__aexit__(kind, error, trace))


class Mount(AsyncMount):
    """What `fs.mount` of :class:`Mesa` answers: use it with `with`, or call :meth:`open`.

    With `async with` the filesystem is an asynchronous one.
    """

    def open(self) -> MesaFileSystem:
        """The filesystem, for who closes it."""
        native()
        transport = cast("SyncTransport", self._transport)
        org = transport.org()
        return self._open(org, transport.key_id() if _needs_key_id(transport.settings) else None)

    def __enter__(self) -> MesaFileSystem:
        self._blocking = self.open()
        return self._blocking

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._blocking is None:
            return
        try:
            self._blocking.close()
        except OSError as failed:
            if error is None:
                raise
            _note(error, failed)

    async def __aenter__(self) -> AsyncMesaFileSystem:
        native()
        transport = cast("SyncTransport", self._transport)
        org = await anyio.to_thread.run_sync(transport.org)
        key_id: str | None = None
        if _needs_key_id(transport.settings):
            key_id = await anyio.to_thread.run_sync(transport.key_id)
        return await self._entered(org, key_id)


async def _ended(error: BaseException | None, ending: Any) -> None:
    try:
        await ending
    except OSError as failed:
        if error is None:
            raise
        _note(error, failed)


def _note(error: BaseException, failed: OSError) -> None:
    """Lets the block's own error tell of what failed after it."""
    add_note: Any = getattr(error, "add_note", None)  # Python 3.11
    if add_note is not None:
        add_note(f"and then the mount could not send everything: {failed}")


class _Definition:
    """A layout, its mount and its token."""

    def __init__(
        self,
        transport: SyncTransport | AsyncTransport,
        paths: Mapping[str, LayoutEntry],
        authors: Authors | None,
        ttl: int | None,
    ) -> None:
        self._transport = transport
        self._layout = _layout.layout(paths)
        self._authors = [Author.of(author) for author in authors or ()]
        self._ttl = ttl

    def layout(self) -> Layout:
        """The layout, for `mesa mount --layout`: `json.dumps` it, or take its `str`."""
        return self._layout

    def _wanted(
        self,
        disk_cache: DiskCacheConfig | None = None,
        state_dir: str | None = None,
        durability: Durability = "fsync",
    ) -> _Wanted:
        places = _layout.mountable(self._layout)
        return _Wanted(
            repos=list(places.items()),
            authors=self._authors,
            ttl=self._ttl,
            disk_cache=disk_cache,
            state_dir=state_dir,
            durability=durability,
        )

    def _sign(self, org: str, key_id: str | None) -> AccessToken:
        settings = self._transport.settings
        repos = list(_layout.places(self._layout).items())
        grant = _Wanted(repos, self._authors, self._ttl).grant(settings)
        return _Signer(settings, grant, org, key_id).sign()


class LayoutDefinition(_Definition):
    """What `mesa.fs(layout=...)` answers."""

    def token(self) -> AccessToken:
        """A token that reads, and where the layout says so writes, its repos and nothing else."""
        transport = cast("SyncTransport", self._transport)
        key_id = transport.key_id() if _needs_key_id(transport.settings) else None
        return self._sign(transport.org(), key_id)

    def mount(
        self,
        *,
        disk_cache: DiskCacheConfig | None = None,
        state_dir: str | None = None,
        durability: Durability = "fsync",
    ) -> Mount:
        """Mounts the layout; the options are those of `mesa.fs.mount`."""
        wanted = self._wanted(disk_cache, state_dir, durability)
        return Mount(self._transport, lambda _: wanted)


class AsyncLayoutDefinition(_Definition):
    """What `mesa.fs(layout=...)` answers."""

    async def token(self) -> AccessToken:
        """A token that reads, and where the layout says so writes, its repos and nothing else."""
        transport = cast("AsyncTransport", self._transport)
        key_id = await transport.key_id() if _needs_key_id(transport.settings) else None
        return self._sign(await transport.org(), key_id)

    def mount(
        self,
        *,
        disk_cache: DiskCacheConfig | None = None,
        state_dir: str | None = None,
        durability: Durability = "fsync",
    ) -> AsyncMount:
        """Mounts the layout; the options are those of `mesa.fs.mount`."""
        wanted = self._wanted(disk_cache, state_dir, durability)
        return AsyncMount(self._transport, lambda _: wanted)


def _wanted(
    repos: Sequence[str | RepoConfig],
    mode: MountMode | Literal["ro", "rw"],
    authors: Authors | None,
    ttl: int | None,
    disk_cache: DiskCacheConfig | None,
    state_dir: str | None,
    durability: Durability,
    isolate: bool,
) -> Callable[[str], _Wanted]:
    if isinstance(repos, str) or not repos:
        raise InvalidOptionsError("mount needs a list of at least one repo")
    is_read_only = MountMode.of(mode) is MountMode.ro
    signed = [Author.of(author) for author in authors or ()]

    def wanted(org: str) -> _Wanted:
        configs = repo_configs(list(repos), org)
        return _Wanted(
            repos=[(None, config.with_defaults(is_read_only, isolate)) for config in configs],
            authors=signed,
            ttl=ttl,
            disk_cache=disk_cache,
            state_dir=state_dir,
            durability=durability,
        )

    return wanted


class Filesystems:
    """Filesystems in this process, without FUSE. Mounting needs the native module."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def mount(
        self,
        *,
        repos: Sequence[str | RepoConfig],
        mode: MountMode | Literal["ro", "rw"] = "rw",
        authors: Authors | None = None,
        ttl: int | None = None,
        disk_cache: DiskCacheConfig | None = None,
        state_dir: str | None = None,
        durability: Durability = "fsync",
        isolate: bool = False,
    ) -> Mount:
        """Repos at `/<org>/<repo>`, for as long as the `with` block, whose end sends everything.

        The mount has tokens of its own for these repos, each of which lives `ttl` seconds (1 h,
        with a private key 15 min); it gets another one in good time. A client of an access token
        uses that to its end. `authors` (with a private key) are named in the tokens.

        `durability` says when writing returns: see the server's `docs/semantics.md`. `disk_cache`
        keeps content for the next mount, `state_dir` what could not be sent; without them both are
        kept in a temporary directory that goes with the mount. `mode="ro"` and `isolate` are for
        all repos, see :class:`RepoConfig`. A mount does not survive a fork.
        """
        wanted = _wanted(repos, mode, authors, ttl, disk_cache, state_dir, durability, isolate)
        return Mount(self._transport, wanted)

    def __call__(
        self,
        *,
        layout: Mapping[str, LayoutEntry],
        authors: Authors | None = None,
        ttl: int | None = None,
    ) -> LayoutDefinition:
        """A layout: which repos appear at which paths. See :func:`repo`."""
        return LayoutDefinition(self._transport, layout, authors, ttl)


class AsyncFilesystems:
    """Filesystems in this process, without FUSE. Mounting needs the native module."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    def mount(
        self,
        *,
        repos: Sequence[str | RepoConfig],
        mode: MountMode | Literal["ro", "rw"] = "rw",
        authors: Authors | None = None,
        ttl: int | None = None,
        disk_cache: DiskCacheConfig | None = None,
        state_dir: str | None = None,
        durability: Durability = "fsync",
        isolate: bool = False,
    ) -> AsyncMount:
        """Repos at `/<org>/<repo>`, for as long as the `async with` block. For the options see
        :meth:`Filesystems.mount`.
        """
        wanted = _wanted(repos, mode, authors, ttl, disk_cache, state_dir, durability, isolate)
        return AsyncMount(self._transport, wanted)

    def __call__(
        self,
        *,
        layout: Mapping[str, LayoutEntry],
        authors: Authors | None = None,
        ttl: int | None = None,
    ) -> AsyncLayoutDefinition:
        """A layout: which repos appear at which paths. See :func:`repo`."""
        return AsyncLayoutDefinition(self._transport, layout, authors, ttl)
