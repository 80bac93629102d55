"""The operation log of a change, undo and restore."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mesa_sdk._call import Call, given, model, query
from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.models import ActionDetails, ActionsPage, RestoreResult, UndoResult
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method
from mesa_sdk.types import rfc3339


def list_actions(
    *,
    repo: str,
    change_id: str,
    cursor: str | None = None,
    limit: int | None = None,
    path: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    session: str | None = None,
    key_id: str | None = None,
    org: str | None = None,
) -> Call[ActionsPage]:
    """What was done to a change, newest first.

    Only at `path` or below it, from `since` on, before `until`, by a session, by a key.
    """
    pairs = query(
        cursor=cursor,
        limit=limit,
        path=path,
        since=since and rfc3339(since),
        until=until and rfc3339(until),
        session=session,
        key_id=key_id,
    )
    path_of_it = (repo, "changes", change_id, "operations")
    return Call("GET", path_of_it, model(ActionsPage), org=org, query=pairs)


def get_action(
    *,
    repo: str,
    change_id: str,
    operation_id: str,
    cursor: str | None = None,
    limit: int | None = None,
    org: str | None = None,
) -> Call[ActionDetails]:
    """The action that an operation belongs to, with its operations, oldest first."""
    path = (repo, "changes", change_id, "operations", operation_id)
    pairs = query(cursor=cursor, limit=limit)
    return Call("GET", path, model(ActionDetails), org=org, query=pairs)


def undo_action(
    *,
    repo: str,
    change_id: str,
    action: str | None = None,
    onto: str | None = None,
    paths: Sequence[str] | None = None,
    allow_conflicted: bool | None = None,
    org: str | None = None,
) -> Call[UndoResult]:
    """Undoes an action, by the id of any of its operations, and keeps what came after it.

    Without `action` it is the newest one that is no undo and was not undone, so that repeated calls
    go further back; an undo's id undoes the undo. `onto` is the change or bookmark written to.
    Conflicts raise :class:`MergeConflictError`, or are written with `allow_conflicted`.
    """
    body = given(
        action=action,
        onto=onto,
        paths=None if paths is None else list(paths),
        allow_conflicted=allow_conflicted,
    )
    path = (repo, "changes", change_id, "undo")
    return Call("POST", path, model(UndoResult), org=org, body=body)


def restore_paths(
    *,
    repo: str,
    change_id: str,
    paths: Sequence[str],
    at_change: str | None = None,
    at_commit_oid: str | None = None,
    at_time: datetime | None = None,
    at_operation: str | None = None,
    before: bool = False,
    onto: str | None = None,
    allow_remove: bool | None = None,
    org: str | None = None,
) -> Call[RestoreResult]:
    """Brings paths back as they were: in a change or commit, at a time, or after an operation
    (`before=True`: before it). `""` is the whole tree.

    A path that was not there then is refused, or removed with `allow_remove`.
    """
    at = given(
        change=at_change,
        commit_oid=at_commit_oid,
        time=at_time and rfc3339(at_time),
        operation=at_operation,
    )
    if len(at) != 1:
        raise InvalidOptionsError("pass one of at_change, at_commit_oid, at_time, at_operation")
    if before:
        if at_operation is None:
            raise InvalidOptionsError("before goes with at_operation")
        at["before"] = True
    body = {"paths": list(paths), "at": at, **given(onto=onto, allow_remove=allow_remove)}
    path = (repo, "changes", change_id, "restore")
    return Call("POST", path, model(RestoreResult), org=org, body=body)


class Operations(Resource):
    """What was done to changes, and its undoing."""

    list = method(list_actions)
    iterate = items(list_actions)
    get = method(get_action)
    iterate_operations = items(get_action)
    undo = method(undo_action)
    restore = method(restore_paths)


class AsyncOperations(AsyncResource):
    """What was done to changes, and its undoing."""

    list = amethod(list_actions)
    iterate = aitems(list_actions)
    get = amethod(get_action)
    iterate_operations = aitems(get_action)
    undo = amethod(undo_action)
    restore = amethod(restore_paths)
