"""The clients."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING

import httpx

from mesa_sdk import _settings
from mesa_sdk._credentials import chosen
from mesa_sdk._retry import RetryPolicy
from mesa_sdk._settings import DEFAULT_API_URL, Settings
from mesa_sdk._transport import WHOAMI, AsyncTransport, SyncTransport
from mesa_sdk.fs import AsyncFilesystems, Filesystems
from mesa_sdk.models import Whoami
from mesa_sdk.resources.admin import Admin, AsyncAdmin
from mesa_sdk.resources.api_keys import ApiKeys, AsyncApiKeys
from mesa_sdk.resources.bookmarks import AsyncBookmarks, Bookmarks
from mesa_sdk.resources.changes import AsyncChanges, Changes
from mesa_sdk.resources.content import AsyncContent, Content
from mesa_sdk.resources.diffs import AsyncDiffs, Diffs
from mesa_sdk.resources.operations import AsyncOperations, Operations
from mesa_sdk.resources.org import AsyncOrgResource, OrgResource
from mesa_sdk.resources.repos import AsyncRepos, Repos
from mesa_sdk.resources.signing_keys import AsyncSigningKeys, SigningKeys
from mesa_sdk.resources.tokens import AsyncTokens, Tokens
from mesa_sdk.resources.webhook_targets import AsyncWebhookTargets, WebhookTargets
from mesa_sdk.webhooks import AsyncWebhooks, Webhooks

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, repr=False)
class _Options:
    """The arguments of a constructor."""

    api_key: str | None
    private_key: str | None
    access_token: str | None
    api_url: str | None
    #: Of 0.38, where mounts had a server of their own. Here one server has everything.
    vcs_url: str | None
    org: str | None
    user_agent: str | None
    webhook_secret: str | None
    timeout: float | httpx.Timeout | None
    retries: int | RetryPolicy

    def settings(self) -> Settings:
        environment = dict(os.environ)
        given = {
            "api_key": self.api_key,
            "private_key": self.private_key,
            "access_token": self.access_token,
        }
        if self.vcs_url is not None:
            _settings.base_url(self.vcs_url)
        url = self.api_url or environment.get("MESA_API_URL") or DEFAULT_API_URL
        return Settings(
            base=_settings.base_url(url),
            credential=chosen(given, environment),
            org=self.org or environment.get("MESA_ORG") or None,
            user_agent=_settings.user_agent(self.user_agent),
            timeout=_settings.timeout(self.timeout),
            retries=_retries(self.retries),
        )

    def secret(self) -> str | None:
        return self.webhook_secret or os.environ.get("MESA_WEBHOOK_SECRET") or None


def _retries(given: int | RetryPolicy) -> RetryPolicy:
    return given if isinstance(given, RetryPolicy) else RetryPolicy(max_retries=given)


def _changed(
    settings: Settings,
    timeout: float | httpx.Timeout | None,
    retries: int | RetryPolicy | None,
) -> Settings:
    if timeout is not None:
        settings = replace(settings, timeout=_settings.timeout(timeout))
    if isinstance(retries, int):
        settings = replace(settings, retries=replace(settings.retries, max_retries=retries))
    elif retries is not None:
        settings = replace(settings, retries=retries)
    return settings


class Mesa:
    """A client that blocks. Use it as a context manager, or call :meth:`close`.

    The credential is `api_key`, `private_key` or `access_token`, else what `MESA_ACCESS_TOKEN`,
    `MESA_API_KEY` or `MESA_PRIVATE_KEY` says; the server is `api_url` or `MESA_API_URL`, with or
    without `/v1`. The org is the credential's unless `org` or `MESA_ORG` names one. `timeout` is
    for each sending of a request, `retries` how often it is sent again. `http_client` is used
    instead of one of its own, and not closed. `vcs_url` is taken for programs of 0.38 and not used.

    >>> with Mesa() as mesa:                                                     # doctest: +SKIP
    ...     repo = mesa.repos.create(name="agent-workspace")
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        private_key: str | None = None,
        access_token: str | None = None,
        api_url: str | None = None,
        vcs_url: str | None = None,
        org: str | None = None,
        user_agent: str | None = None,
        webhook_secret: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        retries: int | RetryPolicy = 3,
        http_client: httpx.Client | None = None,
    ) -> None:
        self._options = _Options(
            api_key,
            private_key,
            access_token,
            api_url,
            vcs_url,
            org,
            user_agent,
            webhook_secret,
            timeout,
            retries,
        )
        settings = self._options.settings()
        self._owns_client = http_client is None
        client = http_client or httpx.Client(**_settings.client_options(settings.base, os.environ))
        self._async: AsyncMesa | None = None
        self.webhooks = Webhooks(self._options.secret())
        self._use(SyncTransport(settings, client))

    def _use(self, transport: SyncTransport) -> None:
        self._transport = transport
        self.admin = Admin(transport)
        self.api_keys = ApiKeys(transport)
        self.bookmarks = Bookmarks(transport)
        self.changes = Changes(transport)
        self.content = Content(transport)
        self.diffs = Diffs(transport)
        self.fs = Filesystems(transport)
        self.operations = Operations(transport)
        self.org = OrgResource(transport)
        self.repos = Repos(transport)
        self.signing_keys = SigningKeys(transport)
        self.tokens = Tokens(transport)
        self.webhook_targets = WebhookTargets(transport)

    @property
    def api_url(self) -> str:
        """The base of all routes, with `/v1`."""
        return self._transport.settings.base

    def whoami(self) -> Whoami:
        """Who the credential is and what it may do."""
        return self._transport.send(WHOAMI)

    def resolve_org(self, org: str | None = None) -> str:
        """The org that calls without `org` go to, or the one that is passed."""
        return org or self._transport.org()

    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | None = None,
        retries: int | RetryPolicy | None = None,
    ) -> Mesa:
        """The same client with other limits, over the same connections: close only this one."""
        other = object.__new__(Mesa)
        other.__dict__.update(self.__dict__)
        other._owns_client = False
        other._async = None
        settings = _changed(self._transport.settings, timeout, retries)
        other._use(self._transport.with_settings(settings))
        return other

    def close(self) -> None:
        """Closes the connections."""
        if self._owns_client:
            self._transport.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> AsyncMesa:
        """An asynchronous client with the same arguments.

        `async with Mesa(...) as mesa` is how programs for the published package begin.
        """
        options = self._options
        self._async = AsyncMesa(**options.__dict__)
        return self._async

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._async is not None:
            await self._async.aclose()
        self.close()

    def __repr__(self) -> str:
        return f"Mesa(api_url={self.api_url!r})"


class AsyncMesa:
    """The same for asyncio and trio: every method that asks the server is a coroutine function.

    Use it with `async with`, or call :meth:`aclose`. For the arguments see :class:`Mesa`.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        private_key: str | None = None,
        access_token: str | None = None,
        api_url: str | None = None,
        vcs_url: str | None = None,
        org: str | None = None,
        user_agent: str | None = None,
        webhook_secret: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        retries: int | RetryPolicy = 3,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        options = _Options(
            api_key,
            private_key,
            access_token,
            api_url,
            vcs_url,
            org,
            user_agent,
            webhook_secret,
            timeout,
            retries,
        )
        settings = options.settings()
        self._owns_client = http_client is None
        client = http_client or httpx.AsyncClient(
            **_settings.client_options(settings.base, os.environ)
        )
        self.webhooks = AsyncWebhooks(options.secret())
        self._use(AsyncTransport(settings, client))

    def _use(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self.admin = AsyncAdmin(transport)
        self.api_keys = AsyncApiKeys(transport)
        self.bookmarks = AsyncBookmarks(transport)
        self.changes = AsyncChanges(transport)
        self.content = AsyncContent(transport)
        self.diffs = AsyncDiffs(transport)
        self.fs = AsyncFilesystems(transport)
        self.operations = AsyncOperations(transport)
        self.org = AsyncOrgResource(transport)
        self.repos = AsyncRepos(transport)
        self.signing_keys = AsyncSigningKeys(transport)
        self.tokens = AsyncTokens(transport)
        self.webhook_targets = AsyncWebhookTargets(transport)

    @property
    def api_url(self) -> str:
        """The base of all routes, with `/v1`."""
        return self._transport.settings.base

    async def whoami(self) -> Whoami:
        """Who the credential is and what it may do."""
        return await self._transport.send(WHOAMI)

    async def resolve_org(self, org: str | None = None) -> str:
        """The org that calls without `org` go to, or the one that is passed."""
        return org or await self._transport.org()

    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | None = None,
        retries: int | RetryPolicy | None = None,
    ) -> AsyncMesa:
        """The same client with other limits, over the same connections: close only this one."""
        other = object.__new__(AsyncMesa)
        other.__dict__.update(self.__dict__)
        other._owns_client = False
        settings = _changed(self._transport.settings, timeout, retries)
        other._use(self._transport.with_settings(settings))
        return other

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._owns_client:
            await self._transport.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncMesa(api_url={self.api_url!r})"
