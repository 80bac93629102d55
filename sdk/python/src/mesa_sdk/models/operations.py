"""The operation log of a change, undo and restore."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from mesa_sdk.models._base import Model, Page

OperationKind = Literal["create", "write", "delete", "rename", "link", "attributes", "xattr"]


@dataclass(frozen=True, kw_only=True)
class OperationCounts(Model):
    """Operations by kind."""

    create: int
    write: int
    delete: int
    rename: int
    link: int
    attributes: int
    xattr: int


@dataclass(frozen=True, kw_only=True)
class ActionProgram(Model):
    """The program that opened what it wrote."""

    #: Empty when unknown.
    exe: str
    pid: int
    process_group: int | None
    uid: int


@dataclass(frozen=True, kw_only=True)
class ActionPath(Model):
    """A path that an action touched. The key `from`, of a rename, is in `from_path`."""

    path: str
    kinds: list[OperationKind]
    path_b64: str | None = None

    @property
    def from_path(self) -> str | None:
        """Where a rename came from."""
        return self.additional_properties.get("from")


@dataclass(frozen=True, kw_only=True)
class Action(Model):
    """What one program did in one go."""

    #: That of its first operation.
    id: str
    change_id: str
    first_operation: str
    last_operation: str
    started_at: datetime
    ended_at: datetime
    #: `mount`, `rest`, `merge`, `undo`, `restore`, or what a newer server knows.
    origin: str
    #: The action that it undid.
    undoes: str | None
    #: The undo of it that is in effect.
    undone_by: str | None
    session: str
    key_id: str | None
    host: str | None
    address: str | None
    program: ActionProgram | None
    operation_count: int
    counts: OperationCounts
    #: The first 100; `path_count` counts all.
    paths: list[ActionPath]
    path_count: int
    #: Operations that replaced bytes which another session wrote meanwhile.
    overwrote: int


@dataclass(frozen=True, kw_only=True)
class ActionsPage(Page[Action]):
    """A page of actions, newest first."""

    actions: list[Action]

    @property
    def items(self) -> list[Action]:
        """The actions."""
        return self.actions


@dataclass(frozen=True, kw_only=True)
class OverwrittenContent(Model):
    """Bytes of another session that an operation replaced."""

    size: int
    #: base64; None above 64 KiB.
    content: str | None = field(repr=False)

    @property
    def data(self) -> bytes | None:
        """The bytes."""
        return None if self.content is None else base64.b64decode(self.content)


@dataclass(frozen=True, kw_only=True)
class Operation(Model):
    """One operation. The key `from`, of a rename or link, is in `from_path`."""

    id: str
    at: datetime
    kind: OperationKind
    path: str
    #: Of the content it left.
    size: int | None
    overwrote: OverwrittenContent | None
    path_b64: str | None = None

    @property
    def from_path(self) -> str | None:
        """Where a rename came from; the file a link is another name of."""
        return self.additional_properties.get("from")


@dataclass(frozen=True, kw_only=True)
class ActionDetails(Page[Operation]):
    """An action with a page of its operations, oldest first."""

    action: Action
    operations: list[Operation]

    @property
    def items(self) -> list[Operation]:
        """The operations."""
        return self.operations


@dataclass(frozen=True, kw_only=True)
class RestoreResult(Model):
    """What a restore came to."""

    outcome: Literal["applied", "no_op"]
    #: The change written to, and its commit.
    change_id: str
    commit_oid: str
    #: The action that was written; None: nothing was.
    action: str | None
    operation_count: int


@dataclass(frozen=True, kw_only=True)
class UndoResult(RestoreResult):
    """What an undo came to."""

    #: The action undone.
    undone: str
    is_conflicted: bool
    #: Paths that were written with conflict markers.
    conflict_paths: list[str]
