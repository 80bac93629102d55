"""Access tokens (JWTs of `typ` `mesa-at+jwt`), signed on this machine.

Form A is signed with an API key; forms B and C with a private key. `docs/rest.md` of the server
says what each may hold and how long it may live.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from mesa_sdk._private_key import PrivateKey, base64url
from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.models.keys import AccessToken
from mesa_sdk.types import AccessLevel, Author, Scope

_TYPE = "mesa-at+jwt"
_AUDIENCE = "mesa-api"
_API_KEY_TTL_MAX = 86_400
_PRIVATE_KEY_TTL_MAX = 14_400
_API_KEY_TTL = 3600
_PRIVATE_KEY_TTL = 900
_REPOS_MAX = 250
_AUTHORS_MAX = 100
_REPO = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True)
class Grant:
    """What a token is to say. None: not said."""

    scopes: Sequence[Scope] | None = None
    repos: Sequence[str] | None = None
    repo_ids: Sequence[str] | None = None
    access: Mapping[str, AccessLevel] | None = None
    admin: bool = False
    authors: Sequence[Author] = ()
    ttl_seconds: int | None = None


@dataclass(frozen=True)
class Moment:
    """What a token takes from outside."""

    now: Callable[[], float] = time.time
    jti: Callable[[], str] = lambda: str(uuid.uuid4())


def with_api_key(key: str, key_id: str, org: str, grant: Grant, moment: Moment) -> AccessToken:
    """Form A."""
    if grant.access is not None or grant.admin or grant.authors:
        raise InvalidOptionsError("access, admin and authors need a private key")
    ttl = _ttl(grant, _API_KEY_TTL, _API_KEY_TTL_MAX)
    scopes = list(grant.scopes or ("read", "write"))
    claims = {"scopes": scopes, **_restriction(grant, org)}
    header = {"alg": "HS256", "typ": _TYPE, "kid": f"{key_id}.v1"}
    # The server keeps this digest of the key and nothing else, so it can check the signature.
    secret = base64url(hashlib.sha256(key.encode()).digest()).encode()

    def sign(data: bytes) -> bytes:
        return hmac.new(secret, data, hashlib.sha256).digest()

    return _token(header, key_id, claims, ttl, moment, sign)


def with_private_key(key: PrivateKey, grant: Grant, moment: Moment) -> AccessToken:
    """Form C if the grant says `admin` or `access`, else form B."""
    ttl = _ttl(grant, _PRIVATE_KEY_TTL, _PRIVATE_KEY_TTL_MAX)
    if len(grant.authors) > _AUTHORS_MAX:
        raise InvalidOptionsError(f"at most {_AUTHORS_MAX} authors")
    if grant.admin or grant.access is not None:
        claims = _form_c(grant)
    else:
        claims = {"scopes": list(grant.scopes or ("read", "write")), **_restriction(grant, key.org)}
        if grant.authors:
            claims["author"] = [[author.name, author.email] for author in grant.authors]
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": key.public_key}
    header = {"alg": "EdDSA", "typ": _TYPE, "jwk": jwk}
    return _token(header, key.org, claims, ttl, moment, key.sign)


def _form_c(grant: Grant) -> dict[str, Any]:
    if grant.scopes is not None or grant.repos is not None or grant.repo_ids is not None:
        raise InvalidOptionsError("scopes and repos do not go with admin or access")
    if grant.admin and grant.access is not None:
        raise InvalidOptionsError("a token says either admin or access")
    claims: dict[str, Any] = {"admin": True}
    if grant.access is not None:
        if not 1 <= len(grant.access) <= _REPOS_MAX:
            raise InvalidOptionsError(f"access names 1 to {_REPOS_MAX} repos")
        for repo in grant.access:
            # Names only: the org is the key's.
            if not _REPO.fullmatch(repo) or repo in (".", ".."):
                raise InvalidOptionsError(f"not the name of a repo: {repo!r}")
        claims = {"access": dict(grant.access)}
    if grant.authors:
        claims["authors"] = [{"name": a.name, "email": a.email} for a in grant.authors]
    return claims


def _restriction(grant: Grant, org: str) -> dict[str, Any]:
    if grant.repo_ids is not None:
        if grant.repos is not None:
            raise InvalidOptionsError("pass either repos or repo_ids")
        return {"repo_ids": _bounded(grant.repo_ids)}
    if grant.repos is None:
        return {"repos": None}
    return {"repos": [r if "/" in r else f"{org}/{r}" for r in _bounded(grant.repos)]}


def _bounded(repos: Sequence[str]) -> list[str]:
    if not 1 <= len(repos) <= _REPOS_MAX:
        raise InvalidOptionsError(f"a token names 1 to {_REPOS_MAX} repos, or all of them by None")
    return list(repos)


def _ttl(grant: Grant, default: int, most: int) -> int:
    ttl = default if grant.ttl_seconds is None else grant.ttl_seconds
    if not 1 <= ttl <= most:
        raise InvalidOptionsError(f"ttl_seconds is 1 to {most} with this credential")
    return ttl


def _token(
    header: Mapping[str, Any],
    issuer: str,
    claims: Mapping[str, Any],
    ttl: int,
    moment: Moment,
    sign: Callable[[bytes], bytes],
) -> AccessToken:
    issued = int(moment.now())
    times = {"iat": issued, "exp": issued + ttl, "jti": moment.jti()}
    payload = {"iss": issuer, "aud": _AUDIENCE, **claims, **times}
    text = f"{_part(header)}.{_part(payload)}"
    return AccessToken(
        token=f"{text}.{base64url(sign(text.encode()))}",
        expires_at=datetime.fromtimestamp(issued + ttl, tz=timezone.utc),
        scopes=claims.get("scopes"),
        repos=claims.get("repos"),
    )


def _part(value: Mapping[str, Any]) -> str:
    return base64url(json.dumps(value, separators=(",", ":")).encode())
