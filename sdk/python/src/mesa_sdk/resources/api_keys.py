"""API keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mesa_sdk._call import Call, given, model, query
from mesa_sdk.models import ApiKeyCreated, ApiKeysPage, ApiKeyTags, Success
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method
from mesa_sdk.types import KeyStatus, Scope


def list_api_keys(
    *,
    cursor: str | None = None,
    limit: int | None = None,
    name_contains: str | None = None,
    status: KeyStatus | None = None,
    scope: Scope | None = None,
    repo_id: str | None = None,
    org: str | None = None,
) -> Call[ApiKeysPage]:
    """API keys, without their secrets."""
    pairs = query(
        cursor=cursor,
        limit=limit,
        query=name_contains,
        status=status,
        scope=scope,
        repo_id=repo_id,
    )
    return Call("GET", ("api-keys",), model(ApiKeysPage), org=org, query=pairs)


def create_api_key(
    *,
    name: str | None = None,
    scopes: Sequence[Scope] | None = None,
    repo_ids: Sequence[str] | None = None,
    expires_in_seconds: int | None = None,
    tags: Mapping[str, str] | None = None,
    org: str | None = None,
) -> Call[ApiKeyCreated]:
    """Makes an API key that never exceeds the caller's; the secret is in this answer only.

    Without `scopes` it may read and write, without `repo_ids` in all that the caller sees, without
    `expires_in_seconds` (100 to 31,536,000) for ever.
    """
    body = given(
        name=name,
        scopes=scopes and list(scopes),
        repo_ids=repo_ids and list(repo_ids),
        expires_in_seconds=expires_in_seconds,
        tags=tags and dict(tags),
    )
    return Call("POST", ("api-keys",), model(ApiKeyCreated), org=org, body=body)


def update_api_key(
    *, key_id: str, tags: Mapping[str, str | None], org: str | None = None
) -> Call[ApiKeyTags]:
    """Sets tags of a key; None removes one."""
    return Call(
        "PATCH", ("api-keys", key_id), model(ApiKeyTags), org=org, body={"tags": dict(tags)}
    )


def revoke_api_key(*, key_id: str, org: str | None = None) -> Call[Success]:
    """Revokes a key and every token it signed, on live mounts too."""
    return Call("DELETE", ("api-keys", key_id), model(Success), org=org)


class ApiKeys(Resource):
    """API keys. Needs the admin scope."""

    list = method(list_api_keys)
    iterate = items(list_api_keys)
    create = method(create_api_key)
    update = method(update_api_key)
    revoke = method(revoke_api_key)


class AsyncApiKeys(AsyncResource):
    """API keys. Needs the admin scope."""

    list = amethod(list_api_keys)
    iterate = aitems(list_api_keys)
    create = amethod(create_api_key)
    update = amethod(update_api_key)
    revoke = amethod(revoke_api_key)
