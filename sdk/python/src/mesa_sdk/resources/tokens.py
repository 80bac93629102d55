"""Access tokens, signed here. Making one asks the server at most once, for the key's id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mesa_sdk import _tokens
from mesa_sdk._credentials import ApiKey
from mesa_sdk._private_key import PrivateKey
from mesa_sdk._settings import Settings
from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.models import AccessToken
from mesa_sdk.resources._base import AsyncResource, Resource
from mesa_sdk.types import AccessLevel, Author, Scope


def _grant(
    authors: Sequence[Author | Mapping[str, str | None]] | None, **said: Any
) -> _tokens.Grant:
    return _tokens.Grant(authors=[Author.of(author) for author in authors or ()], **said)


def _by_private_key(
    settings: Settings, grant: _tokens.Grant, org: str | None
) -> AccessToken | None:
    key = settings.credential
    if isinstance(key, PrivateKey):
        if org not in (None, key.org):
            raise InvalidOptionsError(f"the private key is of org {key.org!r}, not {org!r}")
        return _tokens.with_private_key(key, grant, _tokens.Moment())
    if not isinstance(key, ApiKey):
        raise InvalidOptionsError("an access token cannot sign others; use the key behind it")
    return None


def _key(settings: Settings) -> str:
    key = settings.credential
    return key.key if isinstance(key, ApiKey) else ""


class Tokens(Resource):
    """Access tokens."""

    def create(
        self,
        *,
        scopes: Sequence[Scope] | None = None,
        repos: Sequence[str] | None = None,
        repo_ids: Sequence[str] | None = None,
        access: Mapping[str, AccessLevel] | None = None,
        admin: bool = False,
        authors: Sequence[Author | Mapping[str, str | None]] | None = None,
        ttl_seconds: int | None = None,
        org: str | None = None,
    ) -> AccessToken:
        """Signs a token that does at most what the client's key does at the time of use.

        With an API key: `scopes` (read and write when absent) in `repos` (`name` or `org/name`) or
        `repo_ids`, for at most 24 h (1 h when absent). With a private key the same, or exactly one
        of `admin=True` and `access={"repo": "read-repo" or "write-repo"}`, and `authors`, for at
        most 4 h (15 min when absent).
        """
        grant = _grant(
            authors,
            scopes=scopes,
            repos=repos,
            repo_ids=repo_ids,
            access=access,
            admin=admin,
            ttl_seconds=ttl_seconds,
        )
        settings = self.transport.settings
        token = _by_private_key(settings, grant, org)
        if token is not None:
            return token
        key_id, slug = self.transport.key_id(), org or self.transport.org()
        return _tokens.with_api_key(_key(settings), key_id, slug, grant, _tokens.Moment())


class AsyncTokens(AsyncResource):
    """Access tokens."""

    async def create(
        self,
        *,
        scopes: Sequence[Scope] | None = None,
        repos: Sequence[str] | None = None,
        repo_ids: Sequence[str] | None = None,
        access: Mapping[str, AccessLevel] | None = None,
        admin: bool = False,
        authors: Sequence[Author | Mapping[str, str | None]] | None = None,
        ttl_seconds: int | None = None,
        org: str | None = None,
    ) -> AccessToken:
        """Signs a token that does at most what the client's key does at the time of use.

        With an API key: `scopes` (read and write when absent) in `repos` (`name` or `org/name`) or
        `repo_ids`, for at most 24 h (1 h when absent). With a private key the same, or exactly one
        of `admin=True` and `access={"repo": "read-repo" or "write-repo"}`, and `authors`, for at
        most 4 h (15 min when absent).
        """
        grant = _grant(
            authors,
            scopes=scopes,
            repos=repos,
            repo_ids=repo_ids,
            access=access,
            admin=admin,
            ttl_seconds=ttl_seconds,
        )
        settings = self.transport.settings
        token = _by_private_key(settings, grant, org)
        if token is not None:
            return token
        key_id, slug = await self.transport.key_id(), org or await self.transport.org()
        return _tokens.with_api_key(_key(settings), key_id, slug, grant, _tokens.Moment())
