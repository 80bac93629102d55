"""What filesystems answer."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import NamedTuple

_NANOSECONDS_PER_MILLISECOND = 1_000_000


class FsStat(NamedTuple):
    """Attributes of a path, as `os.stat` has them."""

    #: Kind and permission bits, such as `0o100644`.
    mode: int
    #: In bytes.
    size: int
    #: Nanoseconds since 1970.
    mtime_ns: int
    atime_ns: int
    ctime_ns: int
    #: Unique in the repo, never reused, the same on every machine.
    ino: int
    nlink: int
    uid: int
    gid: int

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """A directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_symbolic_link(self) -> bool:
        """A symlink; `stat` follows them, `lstat` does not."""
        return stat.S_ISLNK(self.mode)

    @property
    def mtime_ms(self) -> float:
        """Milliseconds since 1970."""
        return self.mtime_ns / _NANOSECONDS_PER_MILLISECOND


@dataclass(frozen=True)
class FsEntry:
    """An entry of a directory. Symlinks are not followed."""

    name: str
    #: Kind bits only, such as `0o100000` for a regular file.
    kind: int

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.kind)

    @property
    def is_directory(self) -> bool:
        """A directory."""
        return stat.S_ISDIR(self.kind)

    @property
    def is_symbolic_link(self) -> bool:
        """A symlink."""
        return stat.S_ISLNK(self.kind)


@dataclass(frozen=True)
class ChangeInfo:
    """A change that a mounted repo can go to."""

    change_id: str
    #: Empty as long as nothing of it was sealed.
    commit_oid: str


@dataclass(frozen=True)
class CheckpointResult:
    """What became of the change that was closed, and what is written to from here on."""

    saved_change_oid: str
    active_change_oid: str


@dataclass(frozen=True)
class WatchEvent:
    """Something changed at a path; the change can be read already."""

    path: str
    #: Anything below it may have changed too.
    recursive: bool


@dataclass(frozen=True)
class ExecResult:
    """What became of a shell's commands."""

    stdout: bytes
    stderr: bytes
    exit_code: int
