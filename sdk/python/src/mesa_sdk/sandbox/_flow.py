"""What a mount in a sandbox does, step after step, for both kinds of client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from mesa_sdk.errors import MesaError
from mesa_sdk.models import ApiKeyCreated, Repo
from mesa_sdk.resources.api_keys import create_api_key, revoke_api_key
from mesa_sdk.resources.repos import get_repo
from mesa_sdk.sandbox import _scripts
from mesa_sdk.sandbox._access import Access, Script, Steps
from mesa_sdk.sandbox._errors import (
    SandboxCommandError,
    SandboxError,
    SandboxInstallError,
    SandboxKeyError,
    SandboxMountError,
    SandboxNotReadyError,
    SandboxRenewalError,
    SandboxRepoError,
    SandboxRevocationError,
    SandboxSyncError,
    SandboxUnmountError,
)
from mesa_sdk.sandbox._options import Wanted
from mesa_sdk.sandbox._runner import AsyncSandboxRunner, SandboxOutput, SandboxRunner

#: How long taking back may take, when something failed.
_TAKE_BACK_SECONDS = 20.0
_RETRY_SECONDS_MAX = 30.0
#: A key that has less left is renewed before what is left is sent.
_LEFT_SECONDS_MIN = 30.0
#: Between two renewals at least, whatever the server says of its keys.
_RENEWAL_SECONDS_MIN = 1.0
#: Timers don't run while a machine sleeps, keys do.
_LOOK_SECONDS_MAX = 60.0

_MOUNT = "The repo could not be mounted in the sandbox"
_UNMOUNT = "The sandbox could not be unmounted"


@dataclass(frozen=True)
class Key:
    """A key of the sandbox. Times are this machine's, in seconds since 1970."""

    id: str
    secret: str = field(repr=False)
    made_at: float
    expires_at: float


class Flow:
    """The state of one mount, and its steps."""

    def __init__(
        self,
        wanted: Wanted,
        runner: SandboxRunner | AsyncSandboxRunner,
        api_url: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        wanted.check(runner)
        self._wanted = wanted
        self._runner = runner
        self._api_url = api_url
        self._now = now
        self._access = Access(runner.secrets)
        self._repo_id = ""
        self._place = wanted.place(api_url, "", "", runner)
        self._key: Key | None = None
        self._is_ours = False
        self._path: str | None = None
        self._next_try = 0.0

    @property
    def place(self) -> _scripts.Place:
        """What is mounted, and from where."""
        return self._place

    @property
    def path(self) -> str:
        """The repo's directory."""
        if self._path is None:
            raise MesaError("SANDBOX_NOT_MOUNTED", "the repo is not mounted in the sandbox")
        return self._path

    @property
    def has_key(self) -> bool:
        """Whether a key was made."""
        return self._key is not None

    @property
    def key(self) -> Key:
        """The key that the mount has now."""
        if self._key is None:
            raise MesaError("SANDBOX_NOT_MOUNTED", "there is no key for the sandbox yet")
        return self._key

    @property
    def expires_at(self) -> datetime:
        """When that key expires."""
        return datetime.fromtimestamp(self.key.expires_at, timezone.utc)

    def opening(self, org: str, repo: str | Repo) -> Steps[None]:
        """Finds the repo, makes a key, installs, mounts, waits."""
        if isinstance(repo, str):
            try:
                repo = yield get_repo(org=org, repo=repo)
            except MesaError as error:
                raise self.no_repo(error) from error
        assert isinstance(repo, Repo)  # noqa: S101 (what the call answers)
        self._repo_id = repo.id
        self._place = self._wanted.place(self._api_url, org, repo.name, self._runner)
        no_key = "No key could be made for the sandbox"
        self._key = yield from self._made_key(SandboxKeyError, no_key)
        if (text := _scripts.install(self._place)) is not None:
            what = "mesa could not be installed in the sandbox"
            yield from self._run(SandboxInstallError, what, text, as_root=True)
        yield from self._started()
        self._plan()

    def no_repo(self, cause: Exception) -> SandboxRepoError:
        """The error for a repo or an org that is not there."""
        what = "The repo for the sandbox cannot be mounted"
        return self._access.failure(SandboxRepoError, what, cause)

    def _started(self) -> Steps[None]:
        mounted = yield from self._mounted(self.key, again=False)
        # A mount that was there before is not taken away by a failure here.
        self._is_ours = not mounted.already_mounted
        path = f"{mounted.mount_point}/{self._place.org}/{self._place.repo}"
        absent = "The repo did not appear in the mount"
        text = _scripts.ready(path, self._place)
        yield from self._run(SandboxNotReadyError, absent, text)
        if mounted.already_mounted and self._place.bookmark is not None:
            text = _scripts.edit(path, self._place.bookmark)
            yield from self._run(SandboxMountError, _MOUNT, text)
        self._path = path

    def _mounted(self, key: Key, *, again: bool) -> Steps[_scripts.Mounted]:
        text = _scripts.mount(self._place, again=again)
        secret = {"MESA_ORGS": f"{self._place.org}:{key.secret}"}
        done = yield from self._run(SandboxMountError, _MOUNT, text, more=secret)
        answer = _scripts.mounted(done.stdout)
        if answer is not None:
            return answer
        why = "mesa mount did not say where it is mounted"
        raise SandboxMountError(_MOUNT, why, exit_code=0, output=done.stdout + done.stderr)

    def command(self, text: str, env: Mapping[str, str], timeout: float) -> Steps[SandboxOutput]:
        """A command of the caller's, in the repo's directory."""
        inside = _scripts.inside(self.path, text)
        what = "The command in the sandbox failed"
        return (yield from self._run(SandboxCommandError, what, inside, more=env, timeout=timeout))

    def syncing(self) -> Steps[None]:
        """Waits until everything is on the server."""
        text = _scripts.sync(self._place)
        yield from self._run(SandboxSyncError, "Not everything is on the server", text)

    def renewal(self) -> Steps[None]:
        """Makes a new key, hands it over, revokes the old one."""
        what = "The mount in the sandbox could not be given a new key"
        old = self.key
        # Should it fail: also after the key has expired, the next one revives the mount.
        left = old.expires_at - self._now()
        wait = min(_RETRY_SECONDS_MAX, left / 4) if left > 0 else _RETRY_SECONDS_MAX
        self._next_try = self._now() + max(_RENEWAL_SECONDS_MIN, wait)
        fresh = yield from self._made_key(SandboxRenewalError, what)
        failed: SandboxError | None = None
        try:
            yield from self._mounted(fresh, again=True)
        except SandboxError as error:
            failed = error
        if failed is not None:
            told = SandboxRenewalError(
                what, str(failed), exit_code=failed.exit_code, output=failed.output
            )
            told.__cause__ = failed.__cause__
            if (yield from self._revoked(fresh)) is not None:
                told.unrevoked_key_id = fresh.id
            raise told
        self._key = fresh
        self._plan()
        # One that stays works until it expires, which is soon.
        yield from self._revoked(old)

    def seconds_to_look(self) -> float:
        """How long until it is to be looked whether a renewal is due."""
        return max(0.0, min(_LOOK_SECONDS_MAX, self._next_try - self._now()))

    def is_renewal_due(self) -> bool:
        """Whether a quarter of the key's life is left, or a failed renewal is to be repeated."""
        return self._now() >= self._next_try

    def _plan(self) -> None:
        due = self.key.expires_at - (self.key.expires_at - self.key.made_at) / 4
        self._next_try = max(due, self._now() + _RENEWAL_SECONDS_MIN)

    def leaving(self) -> Steps[None]:
        """Sends everything and unmounts."""
        # A key that is about to expire, or did while this machine slept, sends nothing any more.
        if self._wanted.renew and self.key.expires_at - self._now() < _LEFT_SECONDS_MIN:
            with suppress(SandboxRenewalError):  # The sync tells what is not there.
                yield from self.renewal()
        unsent: SandboxError | None = None
        try:
            yield from self.syncing()
        except SandboxError as error:
            unsent = error
        # Nobody answers there: unmounting would fail as well.
        if unsent is not None and unsent.exit_code is None:
            raise unsent
        # What is in use is let go of by force once nothing can be lost by it. What could not be
        # sent waits in the sandbox for the next mount.
        stuck = unsent or (yield from self._unmounted(force=False))
        if stuck is not None:
            stuck = yield from self._unmounted(force=True)
        if (failed := unsent or stuck) is not None:
            raise failed

    def _unmounted(self, *, force: bool) -> Steps[SandboxError | None]:
        try:
            text = _scripts.unmount(self._place, force=force)
            yield from self._run(SandboxUnmountError, _UNMOUNT, text)
        except SandboxError as error:
            return error
        return None

    def taking_back(self, error: BaseException) -> Steps[None]:
        """Undoes a mount that failed half-way, all but the key."""
        reached = not isinstance(error, SandboxError) or error.exit_code is not None
        if not (self._is_ours and reached):
            return
        place = replace(self._place, timeout=_TAKE_BACK_SECONDS)
        text = _scripts.unmount(place, force=True)
        with suppress(SandboxError):  # The first failure is the one to tell.
            yield from self._run(SandboxUnmountError, _UNMOUNT, text, timeout=_TAKE_BACK_SECONDS)

    def revoking(self, error: BaseException | None) -> Steps[None]:
        """Revokes the key. Raises if that fails and nothing else did."""
        if self._key is None:
            return
        failed = yield from self._revoked(self._key)
        if failed is None:
            return
        if error is None:
            raise failed
        if isinstance(error, SandboxError):
            error.unrevoked_key_id = self._key.id

    def _revoked(self, key: Key) -> Steps[SandboxRevocationError | None]:
        try:
            yield revoke_api_key(key_id=key.id, org=self._place.org)
        except MesaError as error:
            what = f"The key {key.id} of the sandbox could not be revoked"
            failed = self._access.failure(SandboxRevocationError, what, error)
            failed.unrevoked_key_id = key.id
            return failed
        return None

    def _made_key(self, kind: type[SandboxError], what: str) -> Steps[Key]:
        wanted = self._wanted
        now = self._now()
        try:
            made = yield create_api_key(
                name=wanted.key_name,
                scopes=wanted.scopes,
                repo_ids=[self._repo_id],
                expires_in_seconds=wanted.ttl_seconds,
                org=self._place.org,
            )
        except MesaError as error:
            raise self._access.failure(kind, what, error) from error
        assert isinstance(made, ApiKeyCreated)  # noqa: S101 (what the call answers)
        self._access.hide(made.key)
        # The server's clock may differ from this machine's; how long a key lives does not.
        life = float(wanted.ttl_seconds)
        if made.expires_at is not None:
            life = (made.expires_at - made.created_at).total_seconds()
        return Key(made.id, made.key, now, now + life)

    def _run(
        self,
        error: type[SandboxError],
        what: str,
        text: str,
        *,
        as_root: bool = False,
        more: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Steps[SandboxOutput]:
        env = {**self._wanted.env, **(more or {})}
        limit = self._place.timeout if timeout is None else timeout
        script = Script(error, what, text, env, limit, as_root)
        return (yield from self._access.run(script))
