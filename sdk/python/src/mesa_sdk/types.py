"""What callers pass in."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from mesa_sdk.errors import InvalidOptionsError

Scope = Literal["read", "write", "admin"]
KeyStatus = Literal["active", "revoked", "expired", "all"]
AccessLevel = Literal["read-repo", "write-repo"]
ConflictSide = Literal["target", "source"]
DiffConflictFilter = Literal["include", "only", "exclude"]


class Unset:
    """The type of :data:`UNSET`."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


#: For arguments of which None means something: leaves what is there.
UNSET: Final = Unset()


@dataclass(frozen=True)
class Author:
    """Who wrote a change."""

    name: str
    email: str | None = None
    date: datetime | None = None

    def __post_init__(self) -> None:
        if not self.name.strip() or any(c in "<>\r\n" for c in self.name + (self.email or "")):
            raise InvalidOptionsError(f"not an author: {self.name!r} {self.email!r}")

    @classmethod
    def of(cls, given: Author | Mapping[str, str | None]) -> Author:
        """One from either form."""
        if isinstance(given, Author):
            return given
        unknown = set(given) - {"name", "email"}
        if unknown:
            raise InvalidOptionsError(f"an author has no {', '.join(sorted(unknown))}")
        return cls(given.get("name") or "", given.get("email") or None)

    def signature(self) -> dict[str, Any]:
        """As a body names it."""
        shown = {"name": self.name, "email": self.email or ""}
        return shown if self.date is None else {**shown, "date": rfc3339(self.date)}


#: Who wrote the commit; the same fields.
Committer = Author


@dataclass(frozen=True)
class FileUpsert:
    """Writes a file. `content`: bytes as they are, or text in base64.

    >>> FileUpsert("hello.txt", b"Hello").body()["content"]
    'SGVsbG8='
    """

    path: str
    content: bytes | str
    encoding: Literal["base64"] | None = "base64"
    action: Literal["upsert"] | None = None
    #: `100644`, `100755`, or `120000` for a symlink to `content`; None keeps a file's own.
    mode: str | None = None

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        mode = {} if self.mode is None else {"mode": self.mode}
        return {"path": self.path, "content": encoded(self.content), "encoding": "base64", **mode}


@dataclass(frozen=True)
class FileDelete:
    """Deletes a file, or a directory with all below it."""

    path: str
    action: Literal["delete"] = "delete"

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        return {"path": self.path, "action": "delete"}


@dataclass(frozen=True)
class FileMove:
    """Moves a file or directory to `path`; a file there is replaced."""

    path: str
    from_path: str

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        return {"path": self.path, "action": "move", "from": self.from_path}


FileChange = FileUpsert | FileDelete | FileMove


def _resolved(content: bytes | str | None, take: ConflictSide | None) -> dict[str, Any]:
    if (content is None) == (take is None):
        raise InvalidOptionsError("a resolution is either `content` or `take`")
    if content is None:
        return {"take": take}
    return {"content": encoded(content), "encoding": "base64"}


@dataclass(frozen=True)
class WholeFileResolution:
    """Resolves a path by content or by taking a side; a side without the path deletes it."""

    path: str
    content: bytes | str | None = None
    take: ConflictSide | None = None
    encoding: Literal["base64"] | None = "base64"

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        return {"path": self.path, **_resolved(self.content, self.take)}


@dataclass(frozen=True)
class HunkFix:
    """Resolves one hunk."""

    hunk_id: str
    content: bytes | str | None = None
    take: ConflictSide | None = None
    encoding: Literal["base64"] | None = "base64"

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        return {"hunk_id": self.hunk_id, **_resolved(self.content, self.take)}


@dataclass(frozen=True)
class HunkResolution:
    """Resolves a path hunk by hunk; every hunk must be there."""

    path: str
    hunks: Sequence[HunkFix]

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        return {"path": self.path, "hunks": [hunk.body() for hunk in self.hunks]}


Resolution = WholeFileResolution | HunkResolution


@dataclass(frozen=True, repr=False)
class TokenAuth:
    """Signs in to an upstream with a token."""

    token: str
    token_username: str | None = None

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        user = {} if self.token_username is None else {"token_username": self.token_username}
        return {"kind": "token", "token": self.token, **user}


@dataclass(frozen=True, repr=False)
class UsernamePasswordAuth:
    """Signs in to an upstream with a name and a password."""

    username: str
    password: str

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        return {
            "kind": "username_password",
            "username": self.username,
            "password": self.password,
        }


UpstreamAuth = TokenAuth | UsernamePasswordAuth


@dataclass(frozen=True)
class UpstreamConfig:
    """Where a repo is synced with. On an update `auth=None` clears, UNSET keeps the credential."""

    url: str
    auth: UpstreamAuth | Unset | None = UNSET

    def body(self) -> dict[str, Any]:
        """As a body names it."""
        if isinstance(self.auth, Unset):
            return {"url": self.url}
        return {"url": self.url, "auth": None if self.auth is None else self.auth.body()}


def encoded(content: bytes | str) -> str:
    """Bytes in base64; text is taken for base64 already, as the contract has it."""
    if isinstance(content, bytes):
        return base64.b64encode(content).decode()
    try:
        base64.b64decode(content, validate=True)
    except binascii.Error as error:
        message = "text content must be base64; pass bytes for content as it is"
        raise InvalidOptionsError(message) from error
    return content


def rfc3339(time: datetime) -> str:
    """A time as the contract writes it; one without a zone is this machine's."""
    return time.astimezone().isoformat(timespec="milliseconds")
