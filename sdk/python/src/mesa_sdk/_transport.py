"""Sends calls: authorization, retries and the reading of answers, for both kinds of client.

The two transports differ in how they wait; what they decide is in :class:`_Sending`.
"""

from __future__ import annotations

import logging
import random
import ssl
import time
import uuid
from typing import Any, TypeVar

import anyio
import httpx

from mesa_sdk import _retry
from mesa_sdk._call import Call, model
from mesa_sdk._credentials import bearer
from mesa_sdk._private_key import PrivateKey
from mesa_sdk._settings import Settings
from mesa_sdk.errors import (
    ConnectionFailedError,
    InvalidOptionsError,
    MesaError,
    OrgResolutionError,
    TimedOutError,
    TransportError,
    refusal,
)
from mesa_sdk.models import Whoami

T = TypeVar("T")

logger = logging.getLogger("mesa_sdk")

WHOAMI = Call("GET", ("whoami",), model(Whoami), in_org=False)


class _Sending:
    """One call on its way. Every sending of it carries the same token and idempotency key."""

    def __init__(self, settings: Settings, call: Call[Any], org: str | None) -> None:
        self._settings = settings
        self._call = call
        self._retry = 0
        self._url = call.url(settings.base, org)
        self._content = call.content(signs=settings.signs)
        authors = call.authors if settings.signs else ()
        self._headers = {
            "accept": call.accept,
            "authorization": f"Bearer {bearer(settings.credential, authors)}",
            "user-agent": settings.user_agent,
        }
        if self._content is not None:
            self._headers["content-type"] = "application/json"
        if call.writes:
            self._headers["idempotency-key"] = str(uuid.uuid4())
        self._headers.update(call.headers)

    def request(self, client: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request, anew for every sending."""
        try:
            return client.build_request(
                self._call.method,
                self._url,
                params=dict(self._call.query) or None,
                content=self._content,
                headers=self._headers,
                timeout=self._settings.timeout,
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise InvalidOptionsError(f"an argument is no good in a URL: {error}") from error

    def answered(self, response: httpx.Response) -> float | None:
        """None: the answer is good. Else the seconds to wait before the next sending."""
        if response.is_success:
            return None
        error = refusal(response.status_code, response.text, response.headers)
        asked = _retry.asked_seconds(response.headers)
        return self._again(error, retryable=_retry.worth_another(error), asked=asked)

    def failed(self, error: httpx.RequestError) -> float:
        """The seconds to wait after a sending that got no answer."""
        told: TransportError
        if isinstance(error, httpx.TimeoutException):
            told = TimedOutError(f"{self._called}: no answer in time ({type(error).__name__})")
        else:
            told = ConnectionFailedError(f"{self._called}: {error or type(error).__name__}")
        told.__cause__ = error
        return self._again(told, retryable=_may_pass(error), asked=None)

    def _again(self, error: MesaError, *, retryable: bool, asked: float | None) -> float:
        wait = self._settings.retries.wait(self._retry, asked, random.random)
        if not retryable or wait is None:
            raise error
        self._retry += 1
        logger.debug("%s: %s; retry %d in %.2f s", self._called, error, self._retry, wait)
        return wait

    @property
    def _called(self) -> str:
        return f"{self._call.method} {self._url}"


def _may_pass(error: httpx.RequestError) -> bool:
    if not isinstance(error, httpx.TransportError):
        return False
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return False
    cause: BaseException | None = error
    while cause is not None:
        # A certificate that is not trusted now is not trusted a second later.
        if isinstance(cause, ssl.SSLCertVerificationError):
            return False
        cause = cause.__cause__ or cause.__context__
    return True


class _Known:
    """What a transport found out about its credential. Failures are not kept."""

    def __init__(self, settings: Settings) -> None:
        key = settings.credential
        self.org = settings.org or (key.org if isinstance(key, PrivateKey) else None)
        self.key_id: str | None = None

    def learn(self, who: Whoami) -> None:
        self.org = self.org or who.org.slug
        self.key_id = who.key_id


def _key_id(known: _Known) -> str:
    if known.key_id is None:
        raise OrgResolutionError("the server does not say which key this credential is")
    return known.key_id


def _org(known: _Known) -> str:
    if known.org is None:
        raise OrgResolutionError("the server does not say which org this credential is of")
    return known.org


class SyncTransport:
    """Blocks. May be used from several threads."""

    def __init__(
        self, settings: Settings, client: httpx.Client, known: _Known | None = None
    ) -> None:
        self.settings = settings
        self.client = client
        self._known = known or _Known(settings)

    def with_settings(self, settings: Settings) -> SyncTransport:
        """Others over the same connections."""
        return SyncTransport(settings, self.client, self._known)

    def send(self, call: Call[T]) -> T:
        """The answer to a call."""
        org = (call.org or self.org()) if call.in_org else None
        sending = _Sending(self.settings, call, org)
        while True:
            try:
                response = self.client.send(sending.request(self.client))
            except httpx.RequestError as error:
                wait = sending.failed(error)
            else:
                if (wanted := sending.answered(response)) is None:
                    return call.read(response.content)
                wait = wanted
            time.sleep(wait)

    def org(self) -> str:
        """The org's slug; asks the server the first time if need be."""
        if self._known.org is None:
            self._known.learn(self.send(WHOAMI))
        return _org(self._known)

    def key_id(self) -> str:
        """The id of the key behind the credential."""
        if self._known.key_id is None:
            self._known.learn(self.send(WHOAMI))
        return _key_id(self._known)


class AsyncTransport:
    """Awaits, under asyncio or trio."""

    def __init__(
        self, settings: Settings, client: httpx.AsyncClient, known: _Known | None = None
    ) -> None:
        self.settings = settings
        self.client = client
        self._known = known or _Known(settings)

    def with_settings(self, settings: Settings) -> AsyncTransport:
        """Others over the same connections."""
        return AsyncTransport(settings, self.client, self._known)

    async def send(self, call: Call[T]) -> T:
        """The answer to a call."""
        org = (call.org or await self.org()) if call.in_org else None
        sending = _Sending(self.settings, call, org)
        while True:
            try:
                response = await self.client.send(sending.request(self.client))
            except httpx.RequestError as error:
                wait = sending.failed(error)
            else:
                if (wanted := sending.answered(response)) is None:
                    return call.read(response.content)
                wait = wanted
            await anyio.sleep(wait)

    async def org(self) -> str:
        """The org's slug; asks the server the first time if need be."""
        if self._known.org is None:
            self._known.learn(await self.send(WHOAMI))
        return _org(self._known)

    def known_org(self) -> str:
        """The same without asking."""
        if self._known.org is None:
            raise OrgResolutionError("the org is not known yet: await resolve_org() first")
        return self._known.org

    async def key_id(self) -> str:
        """The id of the key behind the credential."""
        if self._known.key_id is None:
            self._known.learn(await self.send(WHOAMI))
        return _key_id(self._known)
