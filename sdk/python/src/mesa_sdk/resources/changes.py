"""Changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from mesa_sdk._call import Call, given, model, query
from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.models import Change, ChangeAbandoned, ChangeClosed, ChangeDetails, ChangesPage
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method
from mesa_sdk.types import Author, FileChange, Resolution


def list_changes(
    *,
    repo: str,
    cursor: str | None = None,
    limit: int | None = None,
    bookmark: str | None = None,
    state: Literal["abandoned"] | None = None,
    org: str | None = None,
) -> Call[ChangesPage]:
    """Changes reachable from a bookmark (the default one when absent), newest first.

    With `state="abandoned"` all abandoned changes of the repo instead, by id.
    """
    pairs = query(cursor=cursor, limit=limit, bookmark=bookmark, state=state)
    return Call("GET", (repo, "changes"), model(ChangesPage), org=org, query=pairs)


def get_change(*, repo: str, change_id: str, org: str | None = None) -> Call[ChangeDetails]:
    """A change with its paths, by its id or a bookmark's name."""
    return Call("GET", (repo, "changes", change_id), model(ChangeDetails), org=org)


def create_change(
    *,
    repo: str,
    base_change_id: str,
    message: str | None = None,
    author: Author | Mapping[str, str | None] | None = None,
    authors: Sequence[Author | Mapping[str, str | None]] | None = None,
    committer: Author | Mapping[str, str | None] | None = None,
    files: Sequence[FileChange] | None = None,
    org: str | None = None,
) -> Call[Change]:
    """Makes a change on top of another, which a bookmark may name too.

    All of `files` happen together or not at all. Several `authors` need a client with a private
    key, which signs them into the request's token.
    """
    body = given(
        base_change_id=base_change_id,
        message=message,
        committer=None if committer is None else Author.of(committer).signature(),
        files=None if files is None else [file.body() for file in files],
    )
    return Call(
        "POST",
        (repo, "changes"),
        model(Change),
        org=org,
        body=body,
        authors=_authors(author, authors),
        author_field="author",
    )


def patch_change(
    *,
    repo: str,
    change_id: str,
    message: str | None = None,
    author: Author | Mapping[str, str | None] | None = None,
    authors: Sequence[Author | Mapping[str, str | None]] | None = None,
    committer: Author | Mapping[str, str | None] | None = None,
    files: Sequence[FileChange] | None = None,
    base_commit_oid: str | None = None,
    resolutions: Sequence[Resolution] | None = None,
    org: str | None = None,
) -> Call[Change]:
    """Amends a change. One that takes no more writes gets a new change on top, the answer.

    `base_commit_oid` is the commit the caller saw: refused (409) if there is another by now.
    """
    if files and resolutions:
        raise InvalidOptionsError("pass either files or resolutions")
    body = given(
        message=message,
        committer=None if committer is None else Author.of(committer).signature(),
        files=None if files is None else [file.body() for file in files],
        base_commit_oid=base_commit_oid,
        resolutions=None if resolutions is None else [r.body() for r in resolutions],
    )
    return Call(
        "PATCH",
        (repo, "changes", change_id),
        model(Change),
        org=org,
        body=body,
        authors=_authors(author, authors),
        author_field="author",
    )


def close_change(
    *, repo: str, change_id: str, message: str | None = None, org: str | None = None
) -> Call[ChangeClosed]:
    """Closes a change; who writes to it goes on in a new one on top."""
    body = given(message=message)
    return Call(
        "POST", (repo, "changes", change_id, "new"), model(ChangeClosed), org=org, body=body
    )


def abandon_change(
    *, repo: str, change_id: str, undo: bool | None = None, org: str | None = None
) -> Call[ChangeAbandoned]:
    """Gives a change up, or with `undo` brings it back.

    What is on top of it is put on what is below it, and its bookmarks go there.
    """
    body = given(undo=undo)
    return Call(
        "POST", (repo, "changes", change_id, "abandon"), model(ChangeAbandoned), org=org, body=body
    )


def _authors(
    author: Author | Mapping[str, str | None] | None,
    authors: Sequence[Author | Mapping[str, str | None]] | None,
) -> list[Author]:
    if author is not None and authors is not None:
        raise InvalidOptionsError("pass either author or authors")
    return [Author.of(one) for one in (authors if author is None else [author]) or ()]


class Changes(Resource):
    """Changes."""

    list = method(list_changes)
    iterate = items(list_changes)
    get = method(get_change)
    create = method(create_change)
    patch = method(patch_change)
    close = method(close_change)
    abandon = method(abandon_change)


class AsyncChanges(AsyncResource):
    """Changes."""

    list = amethod(list_changes)
    iterate = aitems(list_changes)
    get = amethod(get_change)
    create = amethod(create_change)
    patch = amethod(patch_change)
    close = amethod(close_change)
    abandon = amethod(abandon_change)
