"""Changes, bookmarks, merges and differences."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mesa_sdk.models._base import Model, Page

ChangeState = Literal["open", "closed", "published", "abandoned"]


@dataclass(frozen=True, kw_only=True)
class CommitSignature(Model):
    """Who and when, as in a git commit."""

    name: str
    #: Empty when unknown.
    email: str
    date: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class CommitIdentity(Model):
    """One author of a change."""

    name: str
    email: str | None


@dataclass(frozen=True, kw_only=True)
class Change(Model):
    """A change: it keeps its id while its commit goes on."""

    id: str
    current_commit_oid: str
    is_conflicted: bool
    #: Empty: none.
    message: str
    #: The first author.
    author: CommitSignature
    authors: list[CommitIdentity]
    authored_at: datetime
    committer: CommitSignature
    parents: list[str]
    created_at: datetime
    updated_at: datetime
    #: Only an open one takes writes. None: an older server, which does not say.
    state: ChangeState | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeDetails(Change):
    """A change with its paths."""

    #: Paths that differ from the first parent.
    files: list[str]
    #: Paths in conflict.
    conflicts: list[str]


@dataclass(frozen=True, kw_only=True)
class ChangesPage(Page[Change]):
    """A page of changes, newest first."""

    changes: list[Change]

    @property
    def items(self) -> list[Change]:
        """The changes."""
        return self.changes


@dataclass(frozen=True, kw_only=True)
class ChangeClosed(Model):
    """A change that takes no more writes, and the one its writers go on in."""

    closed: Change
    next_change_id: str | None


@dataclass(frozen=True, kw_only=True)
class ChangeAbandoned(Model):
    """A change that was abandoned or brought back."""

    change: Change
    #: The change below it, where its bookmarks and what was on top of it are meanwhile.
    parent_change_id: str
    #: Bookmarks that moved.
    bookmarks: list[str]
    #: Changes that are rebased when they are next looked at.
    descendants: int


@dataclass(frozen=True, kw_only=True)
class Bookmark(Model):
    """A name for a change."""

    name: str
    change_id: str
    is_default: bool


@dataclass(frozen=True, kw_only=True)
class BookmarkMoved(Bookmark):
    """A bookmark and what it pointed at before."""

    from_change_id: str | None


@dataclass(frozen=True, kw_only=True)
class BookmarksPage(Page[Bookmark]):
    """A page of bookmarks, by name."""

    bookmarks: list[Bookmark]

    @property
    def items(self) -> list[Bookmark]:
        """The bookmarks."""
        return self.bookmarks


@dataclass(frozen=True, kw_only=True)
class MergeResult(Model):
    """What became of a merge."""

    merge_type: Literal["merge_commit", "no_op"]
    is_conflicted: bool
    commit_oid: str
    change_id: str
    target: str
    source: str
    source_deleted: bool


@dataclass(frozen=True, kw_only=True)
class ConflictContent(Model):
    """One side of a conflict."""

    #: base64; `data` is decoded.
    content: str

    @property
    def data(self) -> bytes:
        """The bytes."""
        return base64.b64decode(self.content)


@dataclass(frozen=True, kw_only=True)
class ConflictHunk(Model):
    """A place where the sides of a conflict differ; None: the side has no such file."""

    hunk_id: str
    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    target: ConflictContent | None
    base: ConflictContent | None
    source: ConflictContent | None


@dataclass(frozen=True, kw_only=True)
class ConflictedPath(Model):
    """A path in conflict, as a refusal names it."""

    path: str
    #: Empty for what is not text.
    hunks: list[ConflictHunk]


@dataclass(frozen=True, kw_only=True)
class DiffLine(Model):
    """A line of a hunk."""

    kind: Literal["context", "added", "deleted", "annotation"]
    text: str


@dataclass(frozen=True, kw_only=True)
class DiffHunk(Model):
    """A run of changed lines with context."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    lines: list[DiffLine]


@dataclass(frozen=True, kw_only=True)
class DiffEntry(Model):
    """A path that differs."""

    path: str
    status: Literal["added", "modified", "deleted", "renamed"]
    old_path: str | None
    is_conflicted: bool
    #: Why `hunks` is None though the contents differ.
    omitted_reason: Literal["binary", "too_large", "file_limit"] | None
    hunks: list[DiffHunk] | None
    conflict_hunks: list[ConflictHunk] | None
    size_bytes: int | None = None
    path_b64: str | None = None


@dataclass(frozen=True, kw_only=True)
class ConflictedDiffEntry(Model):
    """A path in conflict."""

    path: str
    hunks: list[ConflictHunk]
    size_bytes: int | None = None
    omitted_reason: Literal["binary", "too_large"] | None = None
    path_b64: str | None = None


@dataclass(frozen=True, kw_only=True)
class DiffStats(Model):
    """Counts over a whole diff."""

    entries: int
    additions: int
    deletions: int
    changes: int
    conflicted_entries: int
    conflicted_hunks: int


@dataclass(frozen=True, kw_only=True)
class Diff(Model):
    """What differs between two changes."""

    base_change_id: str
    head_change_id: str
    stats: DiffStats
    #: Whether something is not shown.
    truncated: bool
    entries: list[DiffEntry]
    conflicted_entries: list[ConflictedDiffEntry]
