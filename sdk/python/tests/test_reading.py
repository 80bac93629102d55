"""Content, bookmarks and changes of a fresh repo, and of a written one where that is possible."""

import pytest

from mesa_sdk import InvalidOptionsError, Mesa, NotFoundError, RangeNotSatisfiableError
from mesa_sdk.models import ContentDir
from support import ROOT


def test_content(mesa: Mesa):
    repo = mesa.repos.create().name
    root = mesa.content.get(repo=repo)
    assert isinstance(root, ContentDir)
    assert (root.child_count, root.entries, root.path) == (0, [], "")
    assert root.is_dir()
    assert not root.is_file()
    assert not root.is_symlink()
    assert mesa.content.get(repo=repo, change_id=ROOT, path="", depth=2) == root
    assert mesa.content.get(repo=repo, change_id="main", metadata={"tag": "arch"}).is_dir()
    for missing in ("src/a b.txt", "ü"):
        with pytest.raises(NotFoundError) as caught:
            mesa.content.get(repo=repo, path=missing)
        assert caught.value.code == "PATH_NOT_FOUND"
    with pytest.raises(NotFoundError):
        mesa.content.read(repo=repo, path="none", start=1)
    for start, end in ((-1, None), (2, 2), (0, 0)):
        with pytest.raises(InvalidOptionsError):
            mesa.content.read(repo=repo, path="none", start=start, end=end)


def test_bookmarks(mesa: Mesa):
    repo = mesa.repos.create().name
    main = mesa.bookmarks.get(repo=repo, bookmark="main")
    assert (main.name, main.change_id, main.is_default) == ("main", ROOT, True)
    assert mesa.bookmarks.list(repo=repo, glob="m*").bookmarks == [main]
    assert list(mesa.bookmarks.iterate(repo=repo, glob="x?")) == []
    with pytest.raises(NotFoundError) as caught:
        mesa.bookmarks.get(repo=repo, bookmark="feature/x")
    assert caught.value.code == "BOOKMARK_NOT_FOUND"


def test_changes(mesa: Mesa):
    repo = mesa.repos.create().name
    root = mesa.changes.get(repo=repo, change_id=ROOT)
    assert (root.id, root.parents, root.files, root.conflicts) == (ROOT, [], [], [])
    assert root.authors == []
    assert root.to_dict()["author"]["name"] == root.author.name
    assert mesa.changes.list(repo=repo, bookmark="main").changes == []
    assert list(mesa.changes.iterate(repo=repo)) == []


def test_files(mesa: Mesa):
    from mesa_sdk import FileUpsert

    repo = mesa.repos.create().name
    change = mesa.changes.create(
        repo=repo,
        base_change_id="main",
        message="files",
        author={"name": "Ada"},
        files=[
            FileUpsert("src/a b.txt", b"0123456789"),
            FileUpsert("run", b"#!/bin/sh\n", mode="100755"),
            FileUpsert("link", b"src/a b.txt", mode="120000"),
        ],
    )
    file = mesa.content.get(repo=repo, change_id=change.id, path="src/a b.txt")
    assert file.type == "file"
    assert (file.data, file.size, file.mode, file.is_file()) == (b"0123456789", 10, "100644", True)
    link = mesa.content.get(repo=repo, change_id=change.id, path="link")
    assert link.type == "symlink"
    assert (link.data, link.is_symlink()) == (b"src/a b.txt", True)
    root = mesa.content.get(repo=repo, change_id=change.id)
    assert root.type == "dir"
    assert [(e.name, e.type) for e in root.entries] == [
        ("link", "symlink"),
        ("run", "file"),
        ("src", "dir"),
    ]
    path, at = "src/a b.txt", change.id
    assert mesa.content.read(repo=repo, path=path, change_id=at) == b"0123456789"
    assert mesa.content.read(repo=repo, path=path, change_id=at, start=3) == b"3456789"
    assert mesa.content.read(repo=repo, path=path, change_id=at, start=3, end=5) == b"34"
    assert mesa.content.read(repo=repo, path=path, change_id=at, end=2) == b"01"
    with pytest.raises(RangeNotSatisfiableError):
        mesa.content.read(repo=repo, path=path, change_id=at, start=100)
