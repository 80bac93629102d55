"""What deliveries say, as types. Nothing checks them at run time: the signature vouches for the
sender, and a newer server may say more.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

WebhookEventName = Literal[
    "repo.created",
    "repo.updated",
    "repo.deleted",
    "bookmark.created",
    "bookmark.deleted",
    "bookmark.moved",
    "bookmark.merged",
    "change.created",
    "change.evolved",
    "push",
    "sync.queued",
    "sync.in_progress",
    "sync.completed",
    "sync.failed",
]


class EventOrg(TypedDict):
    """The org of an event."""

    id: str
    slug: str
    name: str


class EventRepository(TypedDict):
    """The repo of an event."""

    id: str
    name: str
    url: str


class WebhookEvent(TypedDict):
    """One delivery. The same event may come again: drop repeats by its `id`.

    `data` by `type`: `repo.*` has `repo` (and `before`, `after` when updated), `bookmark.*` has
    `bookmark` (and `from` when moved), `change.*` has `change` (and `previous_current_commit_oid`
    when evolved), `push` has `updates` and `reconciliation`, `sync.*` has `sync`.
    """

    id: str
    type: WebhookEventName
    occurred_at: str
    organization: EventOrg
    repository: EventRepository | None
    data: dict[str, Any]
