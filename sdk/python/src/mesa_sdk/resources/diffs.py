"""Differences between changes."""

from __future__ import annotations

from mesa_sdk._call import TEXT, Call, model, query
from mesa_sdk.models import Diff
from mesa_sdk.resources._base import AsyncResource, Resource, amethod, method
from mesa_sdk.types import DiffConflictFilter


def get_diff(
    *,
    repo: str,
    base_change_id: str,
    head_change_id: str,
    conflicts: DiffConflictFilter | None = None,
    org: str | None = None,
) -> Call[Diff]:
    """What differs between two changes, which bookmarks may name too."""
    pairs = query(base_change_id=base_change_id, head_change_id=head_change_id, conflicts=conflicts)
    return Call("GET", (repo, "diff"), model(Diff), org=org, query=pairs)


def get_patch(
    *, repo: str, base_change_id: str, head_change_id: str, org: str | None = None
) -> Call[str]:
    """The same as one patch in git's form."""

    def read(content: bytes) -> str:
        return content.decode(errors="surrogateescape")

    pairs = query(base_change_id=base_change_id, head_change_id=head_change_id)
    return Call("GET", (repo, "diff"), read, org=org, query=pairs, accept=TEXT)


class Diffs(Resource):
    """Differences between changes."""

    get = method(get_diff)
    patch = method(get_patch)


class AsyncDiffs(AsyncResource):
    """Differences between changes."""

    get = amethod(get_diff)
    patch = amethod(get_patch)
