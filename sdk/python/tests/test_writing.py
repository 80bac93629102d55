"""Changes, bookmarks, merges and differences. Runs where the server has the routes."""

from typing import Any

import pytest

from mesa_sdk import (
    AsyncMesa,
    Author,
    ConflictError,
    FileDelete,
    FileMove,
    FileUpsert,
    HunkFix,
    HunkResolution,
    InvalidOptionsError,
    MergeConflictError,
    Mesa,
    NotFoundError,
    ValidationError,
    WholeFileResolution,
)

ADA = Author("Ada", "ada@example.com")


def write(mesa: Mesa, repo: str, base: str, *files: Any, message: str = "m") -> str:
    return mesa.changes.create(
        repo=repo, base_change_id=base, message=message, author=ADA, files=list(files)
    ).id


def read(mesa: Mesa, repo: str, path: str, change_id: str | None = None) -> bytes:
    return mesa.content.read(repo=repo, path=path, change_id=change_id)


def test_life_of_a_change(mesa: Mesa):
    repo = mesa.repos.create().name
    made = mesa.changes.create(
        repo=repo,
        base_change_id="main",
        message="Begin",
        author=ADA,
        committer={"name": "Robot", "email": "robot@example.com"},
        files=[FileUpsert("a", b"a\n"), FileUpsert("b/c", "Yw=="), FileUpsert("d", b"")],
    )
    assert (made.message, made.is_conflicted) == ("Begin", False)
    assert (made.author.name, made.author.email) == ("Ada", "ada@example.com")
    assert made.committer.name == "Robot"
    assert [author.name for author in made.authors] == ["Ada"]
    details = mesa.changes.get(repo=repo, change_id=made.id)
    assert (details.files, details.conflicts) == (["a", "b/c", "d"], [])
    amended = mesa.changes.patch(
        repo=repo,
        change_id=made.id,
        message="Begin again",
        base_commit_oid=details.current_commit_oid,
        files=[
            FileDelete("a"),
            FileMove("e", from_path="b/c"),
            FileUpsert("d", b"d", mode="100755"),
        ],
    )
    assert (amended.id, amended.message) == (made.id, "Begin again")
    assert amended.current_commit_oid != details.current_commit_oid
    assert mesa.changes.get(repo=repo, change_id=made.id).files == ["d", "e"]
    assert read(mesa, repo, "e", made.id) == b"c"
    with pytest.raises(ConflictError) as caught:
        mesa.changes.patch(
            repo=repo,
            change_id=made.id,
            base_commit_oid=details.current_commit_oid,
            files=[FileUpsert("a", b"late")],
        )
    assert caught.value.code == "STALE_COMMIT"
    with pytest.raises(NotFoundError):
        write(mesa, repo, "k" * 32)
    with pytest.raises(ValidationError):
        write(mesa, repo, "main", FileUpsert("../x", b""))


def test_what_is_refused_before_it_is_sent(mesa: Mesa):
    files = [FileUpsert("a", b"")]
    with pytest.raises(InvalidOptionsError):
        mesa.changes.create(repo="r", base_change_id="main", author=ADA, authors=[ADA])
    with pytest.raises(InvalidOptionsError):
        mesa.changes.create(repo="r", base_change_id="main", authors=[ADA, ADA], files=files)
    with pytest.raises(InvalidOptionsError):
        mesa.bookmarks.merge(repo="r", source="a", target="b", authors=[ADA])
    with pytest.raises(InvalidOptionsError):
        mesa.changes.create(repo="r", base_change_id="main", files=[FileUpsert("a", "not base64!")])
    with pytest.raises(InvalidOptionsError):
        mesa.changes.patch(
            repo="r",
            change_id="main",
            files=files,
            resolutions=[WholeFileResolution("a", take="target")],
        )
    for wrong in (
        WholeFileResolution("a"),
        WholeFileResolution("a", content=b"", take="source"),
        HunkResolution("a", [HunkFix("h")]),
    ):
        with pytest.raises(InvalidOptionsError):
            mesa.bookmarks.merge(repo="r", source="a", target="b", resolutions=[wrong])
    for name in ("", " ", "a<b", "a\nb"):
        with pytest.raises(InvalidOptionsError):
            Author(name)
    with pytest.raises(InvalidOptionsError):
        Author.of({"name": "a", "mail": "b"})


def test_authors_signed_into_the_token(signing: Mesa):
    repo = signing.repos.create().name
    made = signing.changes.create(
        repo=repo,
        base_change_id="main",
        message="signed",
        authors=[{"name": "Ada", "email": "ada@example.com"}, {"name": "Agent"}],
        files=[FileUpsert("a", b"a")],
    )
    assert (made.author.name, made.author.email) == ("Ada", "ada@example.com")
    assert made.authors[0].email == "ada@example.com"
    again = signing.changes.patch(
        repo=repo, change_id=made.id, authors=[Author("Bob")], files=[FileUpsert("a", b"b")]
    )
    assert again.id == made.id


def test_a_closed_change_goes_on_in_another(mesa: Mesa):
    repo = mesa.repos.create().name
    change = write(mesa, repo, "main", FileUpsert("a", b"a"))
    closed = mesa.changes.close(repo=repo, change_id=change, message="done")
    assert (closed.closed.id, closed.closed.message) == (change, "done")
    next_one = mesa.changes.patch(repo=repo, change_id=change, files=[FileUpsert("a", b"b")])
    assert next_one.id != change
    assert next_one.parents == [change]


def test_an_abandoned_change_is_hidden_and_comes_back(mesa: Mesa):
    repo = mesa.repos.create().name
    first = write(mesa, repo, "main", FileUpsert("a", b"a"))
    change = write(mesa, repo, first, FileUpsert("b", b"b"))
    done = mesa.changes.abandon(repo=repo, change_id=change)
    assert (done.change.state, done.parent_change_id) == ("abandoned", first)
    assert [one.id for one in mesa.changes.list(repo=repo, state="abandoned").items] == [change]
    back = mesa.changes.abandon(repo=repo, change_id=change, undo=True)
    assert (back.change.id, back.change.state) == (change, "closed")


def test_bookmarks(mesa: Mesa):
    repo = mesa.repos.create().name
    first = write(mesa, repo, "main", FileUpsert("a", b"1"), message="first")
    second = write(mesa, repo, first, FileUpsert("a", b"2"), message="second")
    made = mesa.bookmarks.create(repo=repo, name="feature/x", change_id=first)
    assert (made.name, made.change_id, made.is_default) == ("feature/x", first, False)
    moved = mesa.bookmarks.move(repo=repo, bookmark="feature/x", change_id=second)
    assert (moved.change_id, moved.from_change_id) == (second, first)
    assert mesa.bookmarks.get(repo=repo, bookmark="feature/x").change_id == second
    with pytest.raises(ConflictError) as caught:
        mesa.bookmarks.move(repo=repo, bookmark="feature/x", change_id=first)
    assert caught.value.code == "NON_FORWARD_MOVE"
    back = mesa.bookmarks.move(
        repo=repo, bookmark="feature/x", change_id=first, allow_backwards=True
    )
    assert back.change_id == first
    mesa.bookmarks.move(repo=repo, bookmark="main", change_id=second)
    listed = list(mesa.changes.iterate(repo=repo, limit=1))
    assert [change.id for change in listed] == [second, first]
    assert [change.id for change in mesa.changes.list(repo=repo, bookmark="feature/x").items] == [
        first
    ]
    with pytest.raises(ConflictError):
        mesa.bookmarks.create(repo=repo, name="feature/x", change_id=first)
    assert [b.name for b in mesa.bookmarks.iterate(repo=repo, limit=1)] == ["feature/x", "main"]
    assert mesa.bookmarks.delete(repo=repo, bookmark="feature/x").success
    with pytest.raises(NotFoundError):
        mesa.bookmarks.get(repo=repo, bookmark="feature/x")


def diverged(mesa: Mesa) -> str:
    """A repo whose `left` (merged into main) and `right` change the same line of `text`."""
    repo = mesa.repos.create().name
    base = write(mesa, repo, "main", FileUpsert("text", b"one\ntwo\nthree\n"))
    mesa.bookmarks.move(repo=repo, bookmark="main", change_id=base)
    for side in ("left", "right"):
        file = FileUpsert("text", f"one\n{side}\nthree\n".encode())
        own = FileUpsert(f"only-{side}", side.encode())
        mesa.bookmarks.create(
            repo=repo, name=side, change_id=write(mesa, repo, base, file, own, message=side)
        )
    return repo


def test_merges(mesa: Mesa, signing: Mesa):
    repo = diverged(mesa)
    clean = mesa.bookmarks.merge(repo=repo, source="left", target="main", message="Take left")
    assert (clean.merge_type, clean.is_conflicted) == ("merge_commit", False)
    assert (clean.target, clean.source, clean.source_deleted) == ("main", "left", False)
    again = mesa.bookmarks.merge(repo=repo, source="left", target="main")
    assert (again.merge_type, again.change_id) == ("no_op", clean.change_id)
    with pytest.raises(MergeConflictError) as caught:
        mesa.bookmarks.merge(repo=repo, source="right", target="main")
    assert caught.value.conflict_paths == ["text"]
    (conflict,) = caught.value.conflicts
    fixes = [HunkFix(hunk.hunk_id, content=b"both\n") for hunk in conflict.hunks]
    merged = signing.bookmarks.merge(
        repo=repo,
        source="right",
        target="main",
        delete_source=True,
        resolutions=[HunkResolution("text", fixes)],
        authors=[ADA],
    )
    assert (merged.merge_type, merged.source_deleted) == ("merge_commit", True)
    assert read(mesa, repo, "text", merged.change_id) == b"one\nboth\nthree\n"
    assert read(mesa, repo, "only-right", merged.change_id) == b"right"


@pytest.mark.parametrize(
    ("resolution", "text"),
    [
        (WholeFileResolution("text", take="source"), b"one\nright\nthree\n"),
        (WholeFileResolution("text", take="target"), b"one\nleft\nthree\n"),
        (WholeFileResolution("text", content=b"mine"), b"mine"),
    ],
)
def test_whole_files_are_resolved(mesa: Mesa, resolution: WholeFileResolution, text: bytes):
    repo = diverged(mesa)
    mesa.bookmarks.merge(repo=repo, source="left", target="main")
    merged = mesa.bookmarks.merge(
        repo=repo, source="right", target="main", resolutions=[resolution]
    )
    assert read(mesa, repo, "text", merged.change_id) == text


def test_a_conflicted_merge_is_shown_and_resolved(mesa: Mesa):
    repo = diverged(mesa)
    base = mesa.bookmarks.get(repo=repo, bookmark="main").change_id
    mesa.bookmarks.merge(repo=repo, source="left", target="main")
    merged = mesa.bookmarks.merge(repo=repo, source="right", target="main", allow_conflicted=True)
    assert merged.is_conflicted
    details = mesa.changes.get(repo=repo, change_id=merged.change_id)
    assert (details.is_conflicted, details.conflicts) == (True, ["text"])
    file = mesa.content.get(repo=repo, path="text", change_id=merged.change_id)
    assert file.type == "file"
    assert file.is_conflicted
    diff = mesa.diffs.get(
        repo=repo, base_change_id=base, head_change_id=merged.change_id, conflicts="only"
    )
    (entry,) = diff.conflicted_entries
    assert (entry.path, diff.entries) == ("text", [])
    assert diff.stats.conflicted_hunks == len(entry.hunks) == 1
    target, source = entry.hunks[0].target, entry.hunks[0].source
    assert target is not None
    assert source is not None
    assert (target.data, source.data) == (b"left\n", b"right\n")
    with pytest.raises(MergeConflictError) as caught:
        mesa.changes.patch(repo=repo, change_id=merged.change_id, files=[FileUpsert("x", b"")])
    assert [one.path for one in caught.value.conflicts] == ["text"]
    fixes = [HunkFix(hunk.hunk_id, take="source") for hunk in entry.hunks]
    resolved = mesa.changes.patch(
        repo=repo,
        change_id=merged.change_id,
        base_commit_oid=details.current_commit_oid,
        resolutions=[HunkResolution("text", fixes)],
    )
    assert not resolved.is_conflicted
    assert read(mesa, repo, "text", resolved.id) == b"one\nright\nthree\n"


def test_differences(mesa: Mesa):
    repo = mesa.repos.create().name
    base = write(
        mesa,
        repo,
        "main",
        FileUpsert("a", b"1\n2\n"),
        FileUpsert("b", b"x\n" * 50),
        FileUpsert("bin", b"\0\1"),
    )
    head = write(
        mesa,
        repo,
        base,
        FileUpsert("a", b"1\n3\n"),
        FileMove("c", from_path="b"),
        FileUpsert("bin", b"\0\2"),
        FileUpsert("new", b"n\n"),
    )
    diff = mesa.diffs.get(repo=repo, base_change_id=base, head_change_id=head)
    assert (diff.base_change_id, diff.head_change_id, diff.truncated) == (base, head, False)
    found = {entry.path: entry for entry in diff.entries}
    assert {path: entry.status for path, entry in found.items()} == {
        "a": "modified",
        "bin": "modified",
        "c": "renamed",
        "new": "added",
    }
    assert found["c"].old_path == "b"
    assert (found["bin"].omitted_reason, found["bin"].hunks) == ("binary", None)
    hunks = found["a"].hunks
    assert hunks is not None
    assert [(line.kind, line.text) for line in hunks[0].lines] == [
        ("context", "1"),
        ("deleted", "2"),
        ("added", "3"),
    ]
    assert diff.stats.entries == len(diff.entries)
    assert diff.stats.changes == diff.stats.additions + diff.stats.deletions
    only = mesa.diffs.get(repo=repo, base_change_id=base, head_change_id=head, conflicts="only")
    assert (only.entries, only.conflicted_entries) == ([], [])
    patch = mesa.diffs.patch(repo=repo, base_change_id=base, head_change_id=head)
    assert "-2\n+3\n" in patch


@pytest.mark.anyio
async def test_the_asynchronous_client_writes_too(amesa: AsyncMesa):
    async with amesa as mesa:
        repo = (await mesa.repos.create()).name
        made = await mesa.changes.create(
            repo=repo, base_change_id="main", message="m", author=ADA, files=[FileUpsert("a", b"a")]
        )
        await mesa.bookmarks.create(repo=repo, name="x", change_id=made.id)
        merged = await mesa.bookmarks.merge(repo=repo, source="x", target="main")
        assert await mesa.content.read(repo=repo, path="a", change_id=merged.change_id) == b"a"
        assert "+a" in await mesa.diffs.patch(
            repo=repo, base_change_id="z" * 32, head_change_id=made.id
        )
