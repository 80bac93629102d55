"""Files and directories of a change."""

from __future__ import annotations

from collections.abc import Mapping

from mesa_sdk._call import BYTES, Call, one_of, query
from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.models import Content as ContentModel
from mesa_sdk.resources._base import AsyncResource, Resource, amethod, method


def get_content(
    *,
    repo: str,
    path: str | None = None,
    change_id: str | None = None,
    depth: int | None = None,
    metadata: Mapping[str, str] | None = None,
    org: str | None = None,
) -> Call[ContentModel]:
    """The file, symlink or directory at a path; the root without one.

    `change_id` takes a bookmark's name too, and is the default bookmark when absent. `depth` (0 to
    10) is how far directories are listed. `metadata` keeps only entries that carry all its pairs.
    """
    pairs = query(change_id=change_id, path=path, depth=depth)
    filters = {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
    read = one_of(ContentModel, "Content")
    return Call("GET", (repo, "content"), read, org=org, query={**pairs, **filters})


def read_content(
    *,
    repo: str,
    path: str,
    change_id: str | None = None,
    start: int = 0,
    end: int | None = None,
    org: str | None = None,
) -> Call[bytes]:
    """The bytes of a file of any size, or of its part from `start` up to, not including, `end`."""
    headers: dict[str, str] = {}
    if start or end is not None:
        if start < 0 or (end is not None and end <= start):
            raise InvalidOptionsError("a part of a file begins before it ends, and not before 0")
        headers["range"] = f"bytes={start}-{'' if end is None else end - 1}"
    return Call(
        "GET",
        (repo, "content"),
        bytes,
        org=org,
        query=query(change_id=change_id, path=path),
        accept=BYTES,
        headers=headers,
    )


class Content(Resource):
    """Files and directories."""

    get = method(get_content)
    read = method(read_content)


class AsyncContent(AsyncResource):
    """Files and directories."""

    get = amethod(get_content)
    read = amethod(read_content)
