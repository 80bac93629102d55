"""Repos and their upstreams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mesa_sdk.models._base import Model, Page

SyncDirection = Literal["pull", "push"]
SyncStatus = Literal["queued", "in_progress", "completed", "failed"]


@dataclass(frozen=True, kw_only=True)
class SyncRefGlobs(Model):
    """Which refs a sync takes; an empty glob takes none."""

    branches: str
    tags: str


@dataclass(frozen=True, kw_only=True)
class SyncRef(Model):
    """What a sync did with a ref."""

    name: str
    before: str | None
    after: str
    outcome: Literal["updated", "unchanged", "filtered", "rejected"]


@dataclass(frozen=True, kw_only=True)
class SyncStats(Model):
    """What a sync did."""

    refs: list[SyncRef]


@dataclass(frozen=True, kw_only=True)
class Sync(Model):
    """A sync with the upstream."""

    id: str
    repo_id: str
    direction: SyncDirection
    status: SyncStatus
    attempt: int
    ref_globs: SyncRefGlobs
    stats: SyncStats | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class SyncsPage(Page[Sync]):
    """A page of syncs, newest first."""

    syncs: list[Sync]

    @property
    def items(self) -> list[Sync]:
        """The syncs."""
        return self.syncs


@dataclass(frozen=True, kw_only=True)
class Upstream(Model):
    """Where a repo is synced with. The credential is never answered."""

    url: str
    auth_kind: Literal["token", "username_password"] | None
    latest_sync: Sync | None


@dataclass(frozen=True, kw_only=True)
class Repo(Model):
    """A repo."""

    id: str
    #: The org's slug.
    org: str
    name: str
    default_bookmark: str
    head_change_id: str
    upstream: Upstream | None
    created_at: datetime
    tags: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ReposPage(Page[Repo]):
    """A page of repos."""

    repos: list[Repo]

    @property
    def items(self) -> list[Repo]:
        """The repos."""
        return self.repos


@dataclass(frozen=True, kw_only=True)
class BulkTagsResult(Model):
    """How many repos were named."""

    updated: int
