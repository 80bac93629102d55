"""Orgs, and who a credential is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mesa_sdk.models._base import Model, Page
from mesa_sdk.models.keys import ApiKeyCreated


@dataclass(frozen=True, kw_only=True)
class Success(Model):
    """The answer to a delete."""

    success: bool


@dataclass(frozen=True, kw_only=True)
class Org(Model):
    """An org as others name it."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Whoami(Model):
    """Who the credential is and what it may do."""

    org: Org
    #: The API key or signing key behind the request.
    key_id: str | None
    key_name: str | None
    scopes: list[str]
    #: None: the whole org.
    repo_ids: list[str] | None = None
    #: None: never.
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class OrgSummary(Model):
    """An org in short."""

    created_at: datetime
    num_repos: int
    id: str | None = None
    slug: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class OrgCreated(Model):
    """A new org and its first admin key."""

    id: str
    slug: str
    name: str
    created_at: datetime
    admin_key: ApiKeyCreated


@dataclass(frozen=True, kw_only=True)
class OrgsPage(Page[Org]):
    """A page of orgs."""

    orgs: list[Org]

    @property
    def items(self) -> list[Org]:
        """The orgs."""
        return self.orgs


@dataclass(frozen=True, kw_only=True)
class AuditRecord(Model):
    """Something that changed the org."""

    id: str
    at: datetime
    key_id: str | None
    #: From where.
    source: str
    request_id: str
    action: str
    target: str
    #: Facts, by action.
    detail: Any


@dataclass(frozen=True, kw_only=True)
class AuditPage(Page[AuditRecord]):
    """A page of audit records, newest first."""

    records: list[AuditRecord]

    @property
    def items(self) -> list[AuditRecord]:
        """The records."""
        return self.records
