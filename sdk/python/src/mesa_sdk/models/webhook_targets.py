"""Webhook targets and their deliveries."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mesa_sdk.models._base import Model, Page


@dataclass(frozen=True, kw_only=True)
class WebhookTarget(Model):
    """Where events are told."""

    id: str
    name: str | None
    url: str
    events: list[str]
    #: None: events of all repos.
    repo_ids: list[str] | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class WebhookTargetCreated(WebhookTarget):
    """A new target. Its secret is in this answer only."""

    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class WebhookTargetsPage(Page[WebhookTarget]):
    """A page of targets."""

    webhook_targets: list[WebhookTarget]

    @property
    def items(self) -> list[WebhookTarget]:
        """The targets."""
        return self.webhook_targets


@dataclass(frozen=True, kw_only=True)
class DeliveryAttempt(Model):
    """One request to a target."""

    at: datetime
    #: None: there was no answer; `error` says why.
    status: int | None
    error: str | None
    duration_ms: int


@dataclass(frozen=True, kw_only=True)
class Delivery(Model):
    """An event on its way to a target."""

    id: str
    event_id: str
    event: str
    repo_id: str
    state: Literal["pending", "delivered", "failed"]
    attempts: list[DeliveryAttempt]
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    redelivery_of: str | None


@dataclass(frozen=True, kw_only=True)
class DeliveriesPage(Page[Delivery]):
    """A page of deliveries, newest first."""

    deliveries: list[Delivery]

    @property
    def items(self) -> list[Delivery]:
        """The deliveries."""
        return self.deliveries
