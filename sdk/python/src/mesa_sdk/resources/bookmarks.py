"""Bookmarks and merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mesa_sdk._call import Call, given, model, query
from mesa_sdk.models import Bookmark, BookmarkMoved, BookmarksPage, MergeResult, Success
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method
from mesa_sdk.types import Author, Resolution


def list_bookmarks(
    *,
    repo: str,
    cursor: str | None = None,
    limit: int | None = None,
    glob: str | None = None,
    org: str | None = None,
) -> Call[BookmarksPage]:
    """Bookmarks by name; `glob` knows `*` and `?`."""
    pairs = query(cursor=cursor, limit=limit, glob=glob)
    return Call("GET", (repo, "bookmarks"), model(BookmarksPage), org=org, query=pairs)


def get_bookmark(*, repo: str, bookmark: str, org: str | None = None) -> Call[Bookmark]:
    """A bookmark."""
    return Call("GET", (repo, "bookmarks", bookmark), model(Bookmark), org=org)


def create_bookmark(
    *, repo: str, name: str, change_id: str, org: str | None = None
) -> Call[Bookmark]:
    """Makes a bookmark at a change, which a bookmark may name too."""
    body = {"name": name, "change_id": change_id}
    return Call("POST", (repo, "bookmarks"), model(Bookmark), org=org, body=body)


def move_bookmark(
    *,
    repo: str,
    bookmark: str,
    change_id: str,
    allow_backwards: bool = False,
    org: str | None = None,
) -> Call[BookmarkMoved]:
    """Points a bookmark at another change; only forwards, unless `allow_backwards`."""
    body = {"change_id": change_id, "allow_backwards": allow_backwards}
    return Call("PATCH", (repo, "bookmarks", bookmark), model(BookmarkMoved), org=org, body=body)


def merge_bookmark(
    *,
    repo: str,
    source: str,
    target: str,
    delete_source: bool | None = None,
    allow_conflicted: bool | None = None,
    message: str | None = None,
    resolutions: Sequence[Resolution] | None = None,
    authors: Sequence[Author | Mapping[str, str | None]] | None = None,
    org: str | None = None,
) -> Call[MergeResult]:
    """Merges one bookmark into another.

    Conflicts raise :class:`MergeConflictError` unless `resolutions` cover them or
    `allow_conflicted` is set. `authors` need a client with a private key.
    """
    body = given(
        target=target,
        source=source,
        delete_source=delete_source,
        allow_conflicted=allow_conflicted,
        message=message,
        resolutions=None if resolutions is None else [r.body() for r in resolutions],
    )
    return Call(
        "POST",
        (repo, "bookmarks", "merge"),
        model(MergeResult),
        org=org,
        body=body,
        authors=[Author.of(author) for author in authors or ()],
    )


def delete_bookmark(*, repo: str, bookmark: str, org: str | None = None) -> Call[Success]:
    """Deletes a bookmark; its changes stay."""
    return Call("DELETE", (repo, "bookmarks", bookmark), model(Success), org=org)


class Bookmarks(Resource):
    """Bookmarks."""

    list = method(list_bookmarks)
    iterate = items(list_bookmarks)
    get = method(get_bookmark)
    create = method(create_bookmark)
    move = method(move_bookmark)
    merge = method(merge_bookmark)
    delete = method(delete_bookmark)


class AsyncBookmarks(AsyncResource):
    """Bookmarks."""

    list = amethod(list_bookmarks)
    iterate = aitems(list_bookmarks)
    get = amethod(get_bookmark)
    create = amethod(create_bookmark)
    move = amethod(move_bookmark)
    merge = amethod(merge_bookmark)
    delete = amethod(delete_bookmark)
