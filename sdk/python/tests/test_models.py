"""Reading answers."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from mesa_sdk import MalformedResponseError, models
from mesa_sdk.models import Bookmark, Content, Model, Page, Repo
from mesa_sdk.models._base import _plan, decode  # pyright: ignore[reportPrivateUsage]

REPO: dict[str, Any] = {
    "id": "repo_1",
    "org": "o",
    "name": "n",
    "default_bookmark": "main",
    "head_change_id": "z" * 32,
    "upstream": None,
    "created_at": "2026-01-02T03:04:05.678+00:00",
    "tags": {"a": "b"},
}


def test_there_and_back():
    repo = Repo.from_dict({**REPO, "of_tomorrow": [1]})
    assert repo.created_at == datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone.utc)
    assert repo.additional_properties == {"of_tomorrow": [1]}
    assert repo.to_dict() == {**REPO, "of_tomorrow": [1]}
    assert repo == Repo.from_dict(REPO)
    with pytest.raises(FrozenInstanceError):
        repo.name = "x"  # pyright: ignore


@pytest.mark.parametrize("key", sorted(REPO))
def test_required_keys(key: str):
    without = {k: v for k, v in REPO.items() if k != key}
    with pytest.raises(MalformedResponseError, match=key):
        Repo.from_dict(without)
    for wrong in (7, None, [], {"x": 1}):
        if wrong is None and key == "upstream":
            continue
        with pytest.raises(MalformedResponseError, match=key):
            Repo.from_dict({**REPO, key: wrong})


def test_times_of_other_servers():
    for text, offset in {
        "2026-01-02T03:04:05Z": 0,
        "2026-01-02T03:04:05.678Z": 0,
        "2026-01-02T03:04:05+02:00": 2,
    }.items():
        read = Repo.from_dict({**REPO, "created_at": text}).created_at
        assert read.utcoffset() == timedelta(hours=offset)
    with pytest.raises(MalformedResponseError):
        Repo.from_dict({**REPO, "created_at": "soon"})


def test_content_is_told_apart_by_its_type():
    blob = {"name": "f", "path": "f", "sha": "0", "encoding": "base64", "content": "aGk="}
    file = decode(Content, {**blob, "type": "file", "size": 2.0, "mode": "100644"}, "x")
    assert isinstance(file, models.ContentFile)
    assert (file.data, file.size, file.metadata) == (b"hi", 2, None)
    link = decode(Content, {**blob, "type": "symlink", "size": 2, "mode": "120000"}, "x")
    assert isinstance(link, models.ContentSymlink)
    entry = {"name": "f", "path": "f", "sha": "0", "type": "file", "size": 1, "mode": "100755"}
    directory = decode(
        Content,
        {"type": "dir", "name": "", "path": "", "sha": "0", "child_count": 1, "entries": [entry]},
        "x",
    )
    assert isinstance(directory, models.ContentDir)
    assert directory.entries[0].to_dict() == entry
    for wrong in ({"type": "socket"}, {}, [], None, {"type": None}):
        with pytest.raises(MalformedResponseError):
            decode(Content, wrong, "x")


def test_words_of_tomorrow_are_kept():
    sync = {
        "id": "s",
        "repo_id": "r",
        "direction": "sideways",
        "status": "of_tomorrow",
        "attempt": 1,
        "ref_globs": {"branches": "", "tags": ""},
        "stats": None,
        "error": None,
        "created_at": REPO["created_at"],
        "started_at": None,
        "finished_at": None,
    }
    assert models.Sync.from_dict(sync).status == "of_tomorrow"


def test_numbers_are_not_truth_values():
    @dataclass(frozen=True, kw_only=True)
    class Counted(Model):
        n: int

    for wrong in (True, 1.5, "1", None):
        with pytest.raises(MalformedResponseError):
            Counted.from_dict({"n": wrong})


@pytest.mark.parametrize("value", [None, 7, "x", [], [REPO]])
def test_what_is_no_object(value: object):
    with pytest.raises(MalformedResponseError):
        Bookmark.from_dict(value)


def test_every_model_can_be_read_and_every_page_has_its_items():
    kinds = [k for k in vars(models).values() if isinstance(k, type) and issubclass(k, Model)]
    assert len(kinds) > 40
    for kind in kinds:
        _plan(kind)
        if issubclass(kind, Page) and kind is not Page:
            name, *others = set(_plan(kind)) - {"next_cursor", "has_more"}
            if not others:
                page: Page[Any] = kind.from_dict({"next_cursor": None, "has_more": False, name: []})
                assert page.items == getattr(page, name) == []
