"""Repos, their tags and their upstreams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mesa_sdk._call import Call, given, model, query
from mesa_sdk.models import BulkTagsResult, Repo, ReposPage, Success, Sync, SyncsPage
from mesa_sdk.models.repos import SyncDirection
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method
from mesa_sdk.types import UNSET, Unset, UpstreamConfig


def list_repos(
    *,
    cursor: str | None = None,
    limit: int | None = None,
    tags: str | Mapping[str, Any] | None = None,
    org: str | None = None,
) -> Call[ReposPage]:
    """Repos that the credential sees.

    `tags` filters by `"k:v,k2:v2"` or by a mapping with `$and`, `$or`, `$not`, `$eq`, `$in`,
    `$contains`, `$starts_with`, `$ends_with`, `$exists`.
    """
    wanted = json.dumps(tags, separators=(",", ":")) if isinstance(tags, Mapping) else tags
    pairs = query(cursor=cursor, limit=limit, tags=wanted)
    return Call("GET", ("repos",), model(ReposPage), org=org, query=pairs)


def create_repo(
    *,
    name: str | None = None,
    default_bookmark: str | None = None,
    tags: Mapping[str, str] | None = None,
    upstream: UpstreamConfig | None = None,
    org: str | None = None,
) -> Call[Repo]:
    """Makes a repo; without a name the server finds one."""
    body = given(
        name=name,
        default_bookmark=default_bookmark,
        tags=tags and dict(tags),
        upstream=upstream and upstream.body(),
    )
    return Call("POST", ("repos",), model(Repo), org=org, body=body)


def get_repo(*, repo: str, org: str | None = None) -> Call[Repo]:
    """A repo by its name."""
    return Call("GET", (repo,), model(Repo), org=org)


def update_repo(
    *,
    repo: str,
    name: str | None = None,
    default_bookmark: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    upstream: UpstreamConfig | Unset | None = UNSET,
    org: str | None = None,
) -> Call[Repo]:
    """Changes what is passed. In `tags` None removes one; `upstream=None` forgets the upstream."""
    body = given(name=name, default_bookmark=default_bookmark, tags=tags and dict(tags))
    if not isinstance(upstream, Unset):
        body["upstream"] = None if upstream is None else upstream.body()
    return Call("PATCH", (repo,), model(Repo), org=org, body=body)


def delete_repo(*, repo: str, org: str | None = None) -> Call[Success]:
    """Deletes a repo."""
    return Call("DELETE", (repo,), model(Success), org=org)


def bulk_update_tags(
    *,
    repo_ids: Sequence[str],
    action: Literal["set", "remove"],
    key: str,
    value: str | None = None,
    org: str | None = None,
) -> Call[BulkTagsResult]:
    """Sets or removes one tag on 1 to 100 repos: on all of them or, if one is unknown, on none."""
    body = given(repo_ids=list(repo_ids), action=action, key=key, value=value)
    return Call("PATCH", ("repos", "tags"), model(BulkTagsResult), org=org, body=body)


def sync_upstream(
    *,
    repo: str,
    direction: SyncDirection,
    ref_globs: Mapping[str, str] | None = None,
    org: str | None = None,
) -> Call[Sync]:
    """Queues a sync; `ref_globs` has `branches`, `tags` or both."""
    body = given(direction=direction, ref_globs=ref_globs and dict(ref_globs))
    return Call("POST", (repo, "upstream", "syncs"), model(Sync), org=org, body=body)


def get_upstream_sync(*, repo: str, sync_id: str, org: str | None = None) -> Call[Sync]:
    """A sync."""
    return Call("GET", (repo, "upstream", "syncs", sync_id), model(Sync), org=org)


def syncs_page(
    *,
    repo: str,
    cursor: str | None = None,
    limit: int | None = None,
    org: str | None = None,
) -> Call[SyncsPage]:
    """Syncs of a repo, newest first."""
    pairs = query(cursor=cursor, limit=limit)
    return Call("GET", (repo, "upstream", "syncs"), model(SyncsPage), org=org, query=pairs)


class Repos(Resource):
    """Repos."""

    list = method(list_repos)
    iterate = items(list_repos)
    create = method(create_repo)
    get = method(get_repo)
    update = method(update_repo)
    delete = method(delete_repo)
    bulk_update_tags = method(bulk_update_tags)
    sync_upstream = method(sync_upstream)
    get_upstream_sync = method(get_upstream_sync)
    list_upstream_syncs = method(syncs_page)
    iterate_upstream_syncs = items(syncs_page)


class AsyncRepos(AsyncResource):
    """Repos."""

    list = amethod(list_repos)
    iterate = aitems(list_repos)
    create = amethod(create_repo)
    get = amethod(get_repo)
    update = amethod(update_repo)
    delete = amethod(delete_repo)
    bulk_update_tags = amethod(bulk_update_tags)
    sync_upstream = amethod(sync_upstream)
    get_upstream_sync = amethod(get_upstream_sync)
    list_upstream_syncs = amethod(syncs_page)
    iterate_upstream_syncs = aitems(syncs_page)
