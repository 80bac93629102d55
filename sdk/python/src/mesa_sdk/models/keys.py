"""API keys, signing keys and access tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mesa_sdk.models._base import Model, Page


@dataclass(frozen=True, kw_only=True)
class ApiKey(Model):
    """An API key, without its secret."""

    id: str
    name: str | None
    scopes: list[str]
    #: None: the whole org.
    repo_ids: list[str] | None
    metadata: dict[str, Any] | None
    tags: dict[str, str]
    #: To about a minute.
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class ApiKeyCreated(Model):
    """A new API key. Its secret is in this answer only."""

    id: str
    key: str = field(repr=False)
    name: str | None
    scopes: list[str]
    repo_ids: list[str] | None
    tags: dict[str, str]
    created_at: datetime
    #: None: never.
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ApiKeyTags(Model):
    """The tags of a key after a change."""

    tags: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ApiKeysPage(Page[ApiKey]):
    """A page of API keys."""

    api_keys: list[ApiKey]

    @property
    def items(self) -> list[ApiKey]:
        """The keys."""
        return self.api_keys


@dataclass(frozen=True, kw_only=True)
class SigningKey(Model):
    """The public half of a private key that signs access tokens."""

    id: str
    name: str | None
    #: base64url of the raw 32 bytes.
    public_key: str
    scopes: list[str]
    repo_ids: list[str] | None
    tags: dict[str, str]
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class SigningKeysPage(Page[SigningKey]):
    """A page of signing keys."""

    signing_keys: list[SigningKey]

    @property
    def items(self) -> list[SigningKey]:
        """The keys."""
        return self.signing_keys


@dataclass(frozen=True, kw_only=True)
class AccessToken:
    """A token that this client signed."""

    token: str = field(repr=False)
    expires_at: datetime
    #: None: the token says `admin` or `access` instead.
    scopes: Sequence[str] | None
    #: `org/repo`; None: all that the key may see.
    repos: Sequence[str] | None
