"""Public halves of private keys that sign access tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from mesa_sdk._call import Call, given, model, query
from mesa_sdk._private_key import PrivateKey
from mesa_sdk.models import SigningKey, SigningKeysPage, Success
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method
from mesa_sdk.types import Scope


def list_signing_keys(
    *,
    cursor: str | None = None,
    limit: int | None = None,
    status: Literal["active", "revoked", "expired", "all"] | None = None,
    org: str | None = None,
) -> Call[SigningKeysPage]:
    """Signing keys in the order they were registered."""
    pairs = query(cursor=cursor, limit=limit, status=status)
    return Call("GET", ("signing-keys",), model(SigningKeysPage), org=org, query=pairs)


def create_signing_key(
    *,
    public_key: str | PrivateKey,
    name: str | None = None,
    scopes: Sequence[Scope] | None = None,
    repo_ids: Sequence[str] | None = None,
    expires_in_seconds: int | None = None,
    tags: Mapping[str, str] | None = None,
    org: str | None = None,
) -> Call[SigningKey]:
    """Registers a public key that never exceeds the caller's.

    Of a :class:`PrivateKey` (`PrivateKey.generate(org)`) only the public half is sent. Without
    `scopes` its tokens may read and write.
    """
    public = public_key.public_key if isinstance(public_key, PrivateKey) else public_key
    body = given(
        public_key=public,
        name=name,
        scopes=scopes and list(scopes),
        repo_ids=repo_ids and list(repo_ids),
        expires_in_seconds=expires_in_seconds,
        tags=tags and dict(tags),
    )
    return Call("POST", ("signing-keys",), model(SigningKey), org=org, body=body)


def revoke_signing_key(*, key_id: str, org: str | None = None) -> Call[Success]:
    """Revokes a key and every token it signed, on live mounts too."""
    return Call("DELETE", ("signing-keys", key_id), model(Success), org=org)


class SigningKeys(Resource):
    """Signing keys. Needs the admin scope."""

    list = method(list_signing_keys)
    iterate = items(list_signing_keys)
    create = method(create_signing_key)
    revoke = method(revoke_signing_key)


class AsyncSigningKeys(AsyncResource):
    """Signing keys. Needs the admin scope."""

    list = amethod(list_signing_keys)
    iterate = aitems(list_signing_keys)
    create = amethod(create_signing_key)
    revoke = amethod(revoke_signing_key)
