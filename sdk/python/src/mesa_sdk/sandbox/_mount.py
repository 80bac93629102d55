"""Mounts in sandboxes, for both kinds of client."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, overload

import anyio
import anyio.abc
import anyio.to_thread

from mesa_sdk._call import Call
from mesa_sdk.client import AsyncMesa, Mesa
from mesa_sdk.errors import InvalidOptionsError, MesaError
from mesa_sdk.models import Repo
from mesa_sdk.sandbox._access import Steps
from mesa_sdk.sandbox._errors import SandboxRenewalError
from mesa_sdk.sandbox._flow import Flow
from mesa_sdk.sandbox._options import Wanted
from mesa_sdk.sandbox._runner import (
    AsyncSandboxRunner,
    SandboxCommand,
    SandboxOutput,
    SandboxRunner,
)
from mesa_sdk.sandbox._scripts import InstallMethod
from mesa_sdk.types import Scope

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

T = TypeVar("T")

logger = logging.getLogger("mesa_sdk")

#: Of a caller's command.
_COMMAND_SECONDS = 600.0
#: How long after its own time limit a command is given up here.
_GRACE_SECONDS = 10.0


class MountOptions(TypedDict, total=False):
    """What may be said of a mount."""

    #: Slug of the repo's org; the client's when absent.
    org: str | None
    #: What the sandbox may do: read and write when absent; `["read"]` mounts read-only.
    scopes: Sequence[Scope]
    #: How long each key lives, 100 to 31,536,000; 3600 when absent.
    ttl_seconds: int
    #: The key's name, for people; `sandbox-session` when absent.
    key_name: str
    #: Where to mount, absolute or with `~/`; `~/.local/share/mesa/mnt` when absent.
    mount_point: str | None
    #: How `mesa` comes into the sandbox: by the server's `installer`, by its `package` for the
    #: system's package manager, or not at all (`none`: the image has it). When absent `auto`: by
    #: the installer if it is not there.
    install: InstallMethod
    #: Which version to install; the server's own when absent.
    version: str | None
    #: Whether root opens `/dev/fuse` to everybody; when absent what the adapter knows.
    setup_fuse: bool | None
    #: The server as the sandbox reaches it; the client's address when absent.
    server_url: str | None
    #: The bookmark to work on; the repo's default one when absent.
    bookmark: str | None
    #: Whether to write to a change of its own and leave bookmarks where they are.
    isolate: bool
    #: More variables for `mesa` in the sandbox, such as `MESA_CA_FILE`.
    env: Mapping[str, str]
    #: For each step, in seconds; 120 when absent, from 10.
    timeout: float
    #: Whether the mount gets a new key before its key expires, as long as it is open; so when
    #: absent. A client that blocks does it in a thread of its own.
    renew: bool
    #: Told of every renewal that failed; another one is tried.
    on_renewal_error: Callable[[SandboxRenewalError], object] | None


@overload
def mount_in_sandbox(
    mesa: Mesa, sandbox: SandboxRunner, *, repo: str | Repo, **options: Unpack[MountOptions]
) -> SandboxMount: ...
@overload
def mount_in_sandbox(
    mesa: AsyncMesa,
    sandbox: SandboxRunner | AsyncSandboxRunner,
    *,
    repo: str | Repo,
    **options: Unpack[MountOptions],
) -> AsyncSandboxMount: ...
def mount_in_sandbox(
    mesa: Mesa | AsyncMesa,
    sandbox: SandboxRunner | AsyncSandboxRunner,
    *,
    repo: str | Repo,
    **options: Unpack[MountOptions],
) -> SandboxMount | AsyncSandboxMount:
    """A repo in a sandbox, as a context manager: `with` for `Mesa`, `async with` for `AsyncMesa`.

    Entering makes a key for this repo that expires, installs `mesa` if it is not there, mounts, and
    waits until the directory, `path`, can be used; that needs the admin scope, for the key. Leaving
    sends everything, unmounts and revokes the key. For the options see :class:`MountOptions`.

    >>> with mount_in_sandbox(mesa, e2b(sandbox), repo="agent") as work:         # doctest: +SKIP
    ...     sandbox.commands.run(f"cd {work.path} && claude -p 'Implement TODO.md'")

    When a step fails, its :class:`SandboxError` is raised after what was done is taken back.
    """
    if isinstance(mesa, AsyncMesa):
        return AsyncSandboxMount(mesa, sandbox, repo, options)
    if isinstance(sandbox, AsyncSandboxRunner):
        raise InvalidOptionsError("this sandbox is asynchronous: use AsyncMesa")
    return SandboxMount(mesa, sandbox, repo, options)


class _Mount:
    """What both kinds of mount have in common."""

    def __init__(
        self,
        api_url: str,
        runner: SandboxRunner | AsyncSandboxRunner,
        repo: str | Repo,
        options: MountOptions,
    ) -> None:
        self._renews = options.get("renew", True)
        self._told = options.get("on_renewal_error")
        self._org = options.get("org") or (repo.org if isinstance(repo, Repo) else None)
        self._repo = repo
        wanted = Wanted(
            scopes=options.get("scopes") or ("read", "write"),
            ttl_seconds=options.get("ttl_seconds", 3600),
            key_name=options.get("key_name", "sandbox-session"),
            mount_point=options.get("mount_point"),
            install=options.get("install", "auto"),
            version=options.get("version"),
            setup_fuse=options.get("setup_fuse"),
            server_url=options.get("server_url"),
            bookmark=options.get("bookmark"),
            isolate=options.get("isolate", False),
            env=options.get("env", {}),
            timeout=options.get("timeout", 120.0),
            renew=self._renews,
        )
        self._flow = Flow(wanted, runner, api_url)

    @property
    def path(self) -> str:
        """The repo's directory in the sandbox, absolute."""
        return self._flow.path

    @property
    def org(self) -> str:
        """Slug of the repo's org."""
        return self._flow.place.org

    @property
    def repo(self) -> str:
        """The repo's name."""
        return self._flow.place.repo

    @property
    def key_id(self) -> str:
        """The id of the key that the mount has now."""
        return self._flow.key.id

    @property
    def expires_at(self) -> datetime:
        """When that key expires."""
        return self._flow.expires_at

    def _tell(self, error: SandboxRenewalError) -> None:
        logger.warning("%s", error)
        if self._told is not None:
            self._told(error)


class SandboxMount(_Mount):
    """A repo in a sandbox, for as long as the `with` block, or from `open` to `close`."""

    def __init__(
        self, mesa: Mesa, runner: SandboxRunner, repo: str | Repo, options: MountOptions
    ) -> None:
        super().__init__(mesa.api_url, runner, repo, options)
        self._mesa = mesa
        self._transport = mesa.repos.transport
        self._runner = runner
        self._is_closed = False
        self._ending = threading.Event()
        #: A renewal and the end, one after the other.
        self._turn = threading.Lock()
        self._keeper: threading.Thread | None = None

    def open(self) -> Self:
        """Mounts."""
        try:
            try:
                org = self._mesa.resolve_org(self._org)
            except MesaError as error:
                raise self._flow.no_repo(error) from error
            self._drive(self._flow.opening(org, self._repo))
        except BaseException as error:
            self._undo(error)
            raise
        if self._renews:
            name = "mesa-sandbox-renewal"
            self._keeper = threading.Thread(target=self._keep, name=name, daemon=True)
            self._keeper.start()
        return self

    def run(
        self,
        command: str,
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = _COMMAND_SECONDS,
    ) -> SandboxOutput:
        """Runs a shell command in the repo's directory; another exit code than 0 is an error."""
        return self._drive(self._flow.command(command, env or {}, timeout))

    def sync(self) -> None:
        """Returns when everything written so far is on the server."""
        self._drive(self._flow.syncing())

    def renew(self) -> None:
        """Gives the mount a new key and revokes the one it has; programs in it notice nothing."""
        with self._turn:
            if not self._is_closed:
                self._drive(self._flow.renewal())

    def close(self) -> None:
        """Sends everything, unmounts, and revokes the key, which happens whatever fails before.

        The first failure is raised. Closing again does nothing.
        """
        self._ending.set()
        with self._turn:
            if self._is_closed or not self._flow.has_key:
                return
            self._is_closed = True
            failed: BaseException | None = None
            try:
                self._drive(self._flow.leaving())
            except BaseException as error:
                failed = error
                raise
            finally:
                self._drive(self._flow.revoking(failed))

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception as failed:
            if error is None:
                raise
            _note(error, failed)

    def _undo(self, error: BaseException) -> None:
        self._is_closed = True
        with suppress(Exception):
            self._drive(self._flow.taking_back(error))
        with suppress(Exception):
            self._drive(self._flow.revoking(error))

    def _keep(self) -> None:
        while not self._ending.wait(self._flow.seconds_to_look()):
            if not self._flow.is_renewal_due():
                continue
            try:
                self.renew()
            except SandboxRenewalError as error:
                self._tell(error)

    def _drive(self, steps: Steps[T]) -> T:
        answer: Any = None
        thrown: Exception | None = None
        while True:
            try:
                # Outside of handlers: what was thrown is to be nobody's context.
                action = steps.send(answer) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            answer, thrown = None, None
            try:
                answer = self._perform(action)
            except Exception as error:  # noqa: BLE001 (the steps' to judge)
                thrown = error

    def _perform(self, action: Call[Any] | SandboxCommand) -> Any:
        if isinstance(action, Call):
            return self._transport.send(action)
        done: Any = self._runner.run(action)
        if inspect.iscoroutine(done):
            done.close()
            raise InvalidOptionsError("this sandbox is asynchronous: use AsyncMesa")
        return done


class AsyncSandboxMount(_Mount):
    """A repo in a sandbox, for as long as the `async with` block.

    A runner that blocks works in threads.
    """

    def __init__(
        self,
        mesa: AsyncMesa,
        runner: SandboxRunner | AsyncSandboxRunner,
        repo: str | Repo,
        options: MountOptions,
    ) -> None:
        super().__init__(mesa.api_url, runner, repo, options)
        self._mesa = mesa
        self._transport = mesa.repos.transport
        self._runner = runner
        self._is_closed = False
        #: A renewal and the end, one after the other.
        self._turn = anyio.Lock()
        self._keeper: anyio.abc.TaskGroup | None = None

    async def run(
        self,
        command: str,
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = _COMMAND_SECONDS,  # noqa: ASYNC109 (the command's)
    ) -> SandboxOutput:
        """Runs a shell command in the repo's directory; another exit code than 0 is an error."""
        return await self._drive(self._flow.command(command, env or {}, timeout))

    async def sync(self) -> None:
        """Returns when everything written so far is on the server."""
        await self._drive(self._flow.syncing())

    async def renew(self) -> None:
        """Gives the mount a new key and revokes the one it has; programs in it notice nothing."""
        # Not cancelled half-way, when a key may have been made.
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not self._is_closed:
                    await self._drive(self._flow.renewal())

    async def aclose(self) -> None:
        """Sends everything, unmounts, and revokes the key, which happens whatever fails before.

        The first failure is raised. Closing again does nothing.
        """
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if self._is_closed or not self._flow.has_key:
                    return
                self._is_closed = True
                failed: BaseException | None = None
                try:
                    await self._drive(self._flow.leaving())
                except BaseException as error:
                    failed = error
                    raise
                finally:
                    await self._drive(self._flow.revoking(failed))

    async def __aenter__(self) -> Self:
        try:
            try:
                org = await self._mesa.resolve_org(self._org)
            except MesaError as error:
                raise self._flow.no_repo(error) from error
            await self._drive(self._flow.opening(org, self._repo))
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._undo(error)
            raise
        if self._renews:
            self._keeper = anyio.create_task_group()
            await self._keeper.__aenter__()
            self._keeper.start_soon(self._keep)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except Exception as failed:
            if error is None:
                raise
            _note(error, failed)
        finally:
            if self._keeper is not None:
                self._keeper.cancel_scope.cancel()
                # Without the block's error, which it would wrap in a group.
                await self._keeper.__aexit__(None, None, None)

    async def _undo(self, error: BaseException) -> None:
        self._is_closed = True
        with suppress(Exception):
            await self._drive(self._flow.taking_back(error))
        with suppress(Exception):
            await self._drive(self._flow.revoking(error))

    async def _keep(self) -> None:
        while not self._is_closed:
            await anyio.sleep(self._flow.seconds_to_look())
            if not self._flow.is_renewal_due():
                continue
            try:
                await self.renew()
            except SandboxRenewalError as error:
                self._tell(error)

    async def _drive(self, steps: Steps[T]) -> T:
        answer: Any = None
        thrown: Exception | None = None
        while True:
            try:
                action = steps.send(answer) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            answer, thrown = None, None
            try:
                answer = await self._perform(action)
            except Exception as error:  # noqa: BLE001 (the steps' to judge)
                thrown = error

    async def _perform(self, action: Call[Any] | SandboxCommand) -> Any:
        if isinstance(action, Call):
            return await self._transport.send(action)
        limit = action.timeout + _GRACE_SECONDS
        with anyio.move_on_after(limit):
            if isinstance(self._runner, AsyncSandboxRunner):
                return await self._runner.run(action)
            return await anyio.to_thread.run_sync(self._runner.run, action)
        raise TimeoutError(f"no answer within {limit:.0f} s")


def _note(error: BaseException, failed: Exception) -> None:
    """Lets the block's own error tell of what failed after it."""
    logger.warning("after %s: %s", type(error).__name__, failed)
    add_note: Any = getattr(error, "add_note", None)  # Python 3.11
    if add_note is not None:
        add_note(f"and then: {failed}")
