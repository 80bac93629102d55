"""Verifies deliveries and hands them to handlers."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, cast

from mesa_sdk._webhook_events import WebhookEvent, WebhookEventName
from mesa_sdk.errors import (
    MissingWebhookSecretError,
    WebhookHandlerError,
    WebhookVerificationError,
)

SIGNATURE_HEADER: Final = "x-mesa-signature"
TOLERANCE_SECONDS: Final = 300
_HEADER: Final = re.compile(r"t=([0-9]{1,12}),sha256=[0-9a-f]{64}")

WebhookHandler = Callable[[WebhookEvent], object]
AsyncWebhookHandler = Callable[[WebhookEvent], "Awaitable[object] | object"]


def sign(secret: str, timestamp: int, raw_body: str | bytes) -> str:
    """The value of the signature header that a server sends with a body.

    >>> sign("whsec_x", 1700000000, "{}")[:24]
    't=1700000000,sha256=be8c'
    """
    return _signed(secret, str(timestamp), raw_body)


def _signed(secret: str, seconds: str, raw_body: str | bytes) -> str:
    body = raw_body.encode() if isinstance(raw_body, str) else raw_body
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},sha256={digest}"


def verify(
    secret: str,
    body: str | bytes,
    headers: Mapping[str, str],
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now: float | None = None,
) -> WebhookEvent:
    """The event of a delivery, after its signature and its age were checked.

    `body` is the raw one, as it came. Names of headers may be in any case.
    """
    given = next((v for k, v in headers.items() if k.lower() == SIGNATURE_HEADER), None)
    if given is None:
        raise WebhookVerificationError(f"no {SIGNATURE_HEADER} header")
    form = _HEADER.fullmatch(given)
    if form is None:
        raise WebhookVerificationError(f"{SIGNATURE_HEADER} does not read t=...,sha256=...")
    seconds = form[1]
    if not hmac.compare_digest(_signed(secret, seconds, body), given):
        raise WebhookVerificationError("the signature is not the target's")
    if abs((time.time() if now is None else now) - int(seconds)) > tolerance_seconds:
        raise WebhookVerificationError(f"the delivery is not from the last {tolerance_seconds} s")
    try:
        event: Any = json.loads(body)
    except ValueError as error:
        raise WebhookVerificationError("the delivery is not JSON") from error
    if not isinstance(event, dict):
        raise WebhookVerificationError("the delivery is not an object")
    whole = cast("dict[str, Any]", event)
    if not isinstance(whole.get("id"), str) or not isinstance(whole.get("type"), str):
        raise WebhookVerificationError("the delivery has no id or no type")
    return cast("WebhookEvent", whole)


class _Handlers:
    """Handlers by event."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret
        self._by_event: dict[str, list[Callable[[WebhookEvent], object]]] = {}

    def _on(
        self,
        name: WebhookEventName | Sequence[WebhookEventName],
        handler: Callable[[WebhookEvent], object],
    ) -> None:
        for event in [name] if isinstance(name, str) else name:
            self._by_event.setdefault(event, []).append(handler)

    def verify(self, body: str | bytes, headers: Mapping[str, str]) -> WebhookEvent:
        """The event of a delivery, verified with the client's secret; calls no handler."""
        if not self._secret:
            raise MissingWebhookSecretError
        return verify(self._secret, body, headers)


class Webhooks(_Handlers):
    """Deliveries for a program without an event loop."""

    def __init__(self, secret: str | None = None) -> None:
        super().__init__(secret)

    def on(
        self,
        name: WebhookEventName | Sequence[WebhookEventName],
        handler: WebhookHandler,
    ) -> None:
        """Calls `handler` with events of this name, or of these."""
        self._on(name, handler)

    def receive(self, body: str | bytes, headers: Mapping[str, str]) -> None:
        """Verifies a delivery and calls all its handlers, then raises what they raised."""
        event = self.verify(body, headers)
        errors: list[Exception] = []
        for handler in self._by_event.get(event["type"], []):
            try:
                handler(event)
            except Exception as error:  # noqa: BLE001
                errors.append(error)
        if errors:
            raise WebhookHandlerError(errors) from errors[0]


class AsyncWebhooks(_Handlers):
    """Deliveries for a program with an event loop. Handlers may be coroutine functions."""

    def __init__(self, secret: str | None = None) -> None:
        super().__init__(secret)

    def on(
        self,
        name: WebhookEventName | Sequence[WebhookEventName],
        handler: AsyncWebhookHandler,
    ) -> None:
        """Calls `handler` with events of this name, or of these."""
        self._on(name, handler)

    async def receive(self, body: str | bytes, headers: Mapping[str, str]) -> None:
        """Verifies a delivery and runs its handlers in order, then raises what they raised."""
        event = self.verify(body, headers)
        errors: list[Exception] = []
        for handler in self._by_event.get(event["type"], []):
            try:
                answer = handler(event)
                if inspect.isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001
                errors.append(error)
        if errors:
            raise WebhookHandlerError(errors) from errors[0]
