"""Files, symlinks and directories of a change."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal

from mesa_sdk.models._base import Model


@dataclass(frozen=True, kw_only=True)
class _Entry(Model):
    type: str
    name: str
    #: U+FFFD stands for what is not UTF-8; `path_b64` has the bytes then.
    path: str
    sha: str
    path_b64: str | None = None
    #: Present when the path carries metadata; the current values.
    metadata: dict[str, str] | None = None

    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.type == "file"

    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.type == "dir"

    def is_symlink(self) -> bool:
        """Whether it is a symlink."""
        return self.type == "symlink"


@dataclass(frozen=True, kw_only=True)
class EntryFile(_Entry):
    """A file in a listing."""

    type: Literal["file"]
    size: int
    mode: Literal["100644", "100755"]


@dataclass(frozen=True, kw_only=True)
class EntrySymlink(_Entry):
    """A symlink in a listing."""

    type: Literal["symlink"]
    size: int
    mode: Literal["120000"]


@dataclass(frozen=True, kw_only=True)
class EntryDir(_Entry):
    """A directory in a listing."""

    type: Literal["dir"]


ContentEntry = EntryFile | EntrySymlink | EntryDir


@dataclass(frozen=True, kw_only=True)
class _Blob(_Entry):
    size: int
    encoding: Literal["base64"]
    #: base64; `data` is decoded.
    content: str = field(repr=False)
    is_conflicted: bool | None = None

    @property
    def data(self) -> bytes:
        """The bytes; of a symlink its target."""
        return base64.b64decode(self.content)


@dataclass(frozen=True, kw_only=True)
class ContentFile(_Blob):
    """A file with its content."""

    type: Literal["file"]
    mode: Literal["100644", "100755"]


@dataclass(frozen=True, kw_only=True)
class ContentSymlink(_Blob):
    """A symlink with its target."""

    type: Literal["symlink"]
    mode: Literal["120000"]


@dataclass(frozen=True, kw_only=True)
class ContentDir(_Entry):
    """A directory with its entries, down to the depth asked for."""

    type: Literal["dir"]
    child_count: int
    entries: list[ContentEntry]


Content = ContentFile | ContentSymlink | ContentDir
