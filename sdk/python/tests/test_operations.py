"""The operation log, undo and restore. Runs where the server has the routes."""

from datetime import datetime, timedelta, timezone

import pytest

from mesa_sdk import (
    AsyncMesa,
    FileDelete,
    FileUpsert,
    InvalidOptionsError,
    MergeConflictError,
    Mesa,
    NotFoundError,
)


def written(mesa: Mesa) -> tuple[str, str]:
    """A repo and a change in which `a` was written twice and `b` once, in three calls."""
    repo = mesa.repos.create().name
    change = mesa.changes.create(
        repo=repo,
        base_change_id="main",
        message="m",
        author={"name": "Ada"},
        files=[FileUpsert("a", b"one\n")],
    ).id
    for file in (FileUpsert("b/c", b"b\n"), FileUpsert("a", b"two\n")):
        mesa.changes.patch(repo=repo, change_id=change, files=[file])
    return repo, change


def read(mesa: Mesa, repo: str, change: str, path: str) -> bytes:
    return mesa.content.read(repo=repo, change_id=change, path=path)


def test_the_log(mesa: Mesa):
    repo, change = written(mesa)
    actions = list(mesa.operations.iterate(repo=repo, change_id=change, limit=1))
    assert [action.paths[-1].path for action in actions] == ["a", "b/c", "a"]
    newest = actions[0]
    assert (newest.origin, newest.change_id, newest.undone_by) == ("rest", change, None)
    assert newest.key_id == mesa.whoami().key_id
    assert newest.counts.write == 1
    of_b = mesa.operations.list(repo=repo, change_id=change, path="b").actions
    assert [action.id for action in of_b] == [actions[1].id]
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    assert mesa.operations.list(repo=repo, change_id=change, since=later).actions == []
    before = mesa.operations.list(repo=repo, change_id=change, until=later).actions
    assert len(before) == len(actions)
    found = mesa.operations.get(
        repo=repo, change_id=change, operation_id=newest.last_operation, limit=1
    )
    assert found.action.id == newest.id
    operations = list(
        mesa.operations.iterate_operations(
            repo=repo, change_id=change, operation_id=newest.id, limit=1
        )
    )
    assert len(operations) == newest.operation_count
    assert [one.size for one in operations if one.kind == "write"] == [4]
    with pytest.raises(NotFoundError) as caught:
        mesa.operations.get(repo=repo, change_id=change, operation_id="999999")
    assert caught.value.code == "OPERATION_NOT_FOUND"


def test_undo(mesa: Mesa):
    repo, change = written(mesa)
    undone = mesa.operations.undo(repo=repo, change_id=change)
    assert (undone.outcome, undone.is_conflicted, undone.change_id) == ("applied", False, change)
    assert read(mesa, repo, change, "a") == b"one\n"
    assert read(mesa, repo, change, "b/c") == b"b\n"
    assert undone.action is not None
    again = mesa.operations.undo(repo=repo, change_id=change, action=undone.action)
    assert (again.undone, read(mesa, repo, change, "a")) == (undone.action, b"two\n")
    first = list(mesa.operations.iterate(repo=repo, change_id=change))[-1]
    with pytest.raises(MergeConflictError) as caught:
        mesa.operations.undo(repo=repo, change_id=change, action=first.id)
    assert caught.value.conflict_paths == ["a"]


def test_restore(mesa: Mesa):
    repo, change = written(mesa)
    actions = list(mesa.operations.iterate(repo=repo, change_id=change))
    restored = mesa.operations.restore(
        repo=repo, change_id=change, paths=["a"], at_operation=actions[0].id, before=True
    )
    assert (restored.outcome, read(mesa, repo, change, "a")) == ("applied", b"one\n")
    mesa.changes.patch(repo=repo, change_id=change, files=[FileDelete("b")])
    mesa.operations.restore(
        repo=repo, change_id=change, paths=["b"], at_operation=actions[0].last_operation
    )
    assert read(mesa, repo, change, "b/c") == b"b\n"
    with pytest.raises(NotFoundError) as caught:
        mesa.operations.restore(repo=repo, change_id=change, paths=["a"], at_change="z" * 32)
    assert caught.value.code == "PATH_NOT_FOUND"
    emptied = mesa.operations.restore(
        repo=repo, change_id=change, paths=["a"], at_change="z" * 32, allow_remove=True
    )
    assert emptied.outcome == "applied"
    with pytest.raises(NotFoundError):
        read(mesa, repo, change, "a")


def test_which_state_must_be_clear(mesa: Mesa):
    now = datetime.now(timezone.utc)
    with pytest.raises(InvalidOptionsError):
        mesa.operations.restore(repo="r", change_id="c", paths=["a"])
    with pytest.raises(InvalidOptionsError):
        mesa.operations.restore(repo="r", change_id="c", paths=[""], at_time=now, at_operation="1")
    with pytest.raises(InvalidOptionsError):
        mesa.operations.restore(repo="r", change_id="c", paths=[""], at_time=now, before=True)


@pytest.mark.anyio
async def test_the_asynchronous_client_does_it_too(amesa: AsyncMesa):
    async with amesa as mesa:
        repo = (await mesa.repos.create()).name
        change = await mesa.changes.create(
            repo=repo, base_change_id="main", message="m", files=[FileUpsert("a", b"a")]
        )
        actions = [one async for one in mesa.operations.iterate(repo=repo, change_id=change.id)]
        undone = await mesa.operations.undo(repo=repo, change_id=change.id)
        assert undone.undone == actions[0].id
