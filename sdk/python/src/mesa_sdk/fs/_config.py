"""What to mount, and how."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from mesa_sdk.errors import InvalidOptionsError

#: When a call that writes returns: see `docs/semantics.md` of the server.
Durability = Literal["fsync", "close", "write", "local"]


class MountMode(str, Enum):
    """Whether a repo can be written to; the plain strings do as well."""

    ro = "ro"
    rw = "rw"

    @classmethod
    def of(cls, given: str) -> MountMode:
        """One from either form."""
        try:
            return cls(given)
        except ValueError:
            raise InvalidOptionsError(f"a mode is 'ro' or 'rw', not {given!r}") from None


@dataclass(frozen=True)
class Revision:
    """A bookmark or a change; the repo's default bookmark when neither is named."""

    bookmark: str | None = None
    change_id: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any], what: str) -> Revision:
        """One from the form that options and layouts have."""
        unknown = set(given) - {"bookmark", "change_id", "changeId", "as"}
        if unknown:
            raise InvalidOptionsError(f"{what} has no {', '.join(sorted(unknown))}")
        change = given.get("change_id") or given.get("changeId")
        found = cls(given.get("bookmark"), change)
        if (found.bookmark is None) == (found.change_id is None):
            raise InvalidOptionsError(f"{what} names either a bookmark or a change")
        return found


@dataclass(frozen=True)
class Branch:
    """A new change on top of `parent`, made when the mount begins."""

    parent: Revision
    #: A bookmark for it.
    bookmark: str | None = None
    message: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Branch:
        """One from the form that options and layouts have."""
        parent = Revision.of(given, "branched_from")
        named: Mapping[str, Any] = given.get("as") or {}
        unknown = set(named) - {"bookmark", "describe"}
        if unknown:
            raise InvalidOptionsError(f"branched_from: as has no {', '.join(sorted(unknown))}")
        return cls(parent, named.get("bookmark"), named.get("describe"))


@dataclass(frozen=True, init=False)
class RepoConfig:
    """A repo to mount: at its default bookmark, at `bookmark` or `change_id` (or `at`, a mapping
    with one of these), or on a new change `branched_from` one.

    `read_only`, or `mode="ro"`: writing fails with `EROFS`. `isolate`: what is written goes to a
    change of this mount's own, and the bookmark stays where it is.
    """

    name: str
    at: Revision
    read_only: bool
    isolate: bool
    branched_from: Branch | None = field(default=None)

    def __init__(
        self,
        name: str,
        bookmark: str | None = None,
        change_id: str | None = None,
        read_only: bool | None = None,
        *,
        mode: MountMode | Literal["ro", "rw"] | None = None,
        at: Mapping[str, str] | None = None,
        branched_from: Mapping[str, Any] | None = None,
        isolate: bool = False,
    ) -> None:
        if not name:
            raise InvalidOptionsError("a repo needs a name")
        if bookmark is not None and change_id is not None:
            raise InvalidOptionsError(f"{name}: pass a bookmark or a change, not both")
        if at is not None and (bookmark is not None or change_id is not None):
            raise InvalidOptionsError(f"{name}: at goes with neither bookmark nor change_id")
        by_mode = None if mode is None else MountMode.of(mode) is MountMode.ro
        if by_mode is not None and read_only is not None and by_mode != read_only:
            raise InvalidOptionsError(f"{name}: mode and read_only contradict each other")
        found = Revision(bookmark, change_id) if at is None else Revision.of(at, f"{name}: at")
        branch = None if branched_from is None else Branch.of(branched_from)
        is_read_only = by_mode if by_mode is not None else bool(read_only)
        if branch is not None and (found != Revision() or is_read_only):
            raise InvalidOptionsError(f"{name}: branched_from goes with neither at nor read-only")
        values = {
            "name": name,
            "at": found,
            "read_only": is_read_only,
            "isolate": isolate,
            "branched_from": branch,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def with_defaults(self, read_only: bool, isolate: bool) -> RepoConfig:
        """The same, read-only or isolated also if the mount is."""
        made = copy.copy(self)
        object.__setattr__(made, "read_only", self.read_only or read_only)
        object.__setattr__(made, "isolate", self.isolate or isolate)
        return made

    @property
    def bookmark(self) -> str | None:
        """What `at` names."""
        return self.at.bookmark

    @property
    def change_id(self) -> str | None:
        """What `at` names."""
        return self.at.change_id

    @property
    def mode(self) -> MountMode:
        """Whether it can be written to."""
        return MountMode.ro if self.read_only else MountMode.rw


@dataclass(frozen=True)
class DiskCacheConfig:
    """Where content and what is not sent yet are kept.

    One directory may be used by one process at a time. What a process that died left there is sent
    by the next one that mounts the same repo with it.
    """

    path: str
    max_size_bytes: int | None = None


def repo_configs(given: list[str | RepoConfig], org: str) -> list[RepoConfig]:
    """Repos as they are mounted: names may be `org/name`."""
    if not given:
        raise InvalidOptionsError("mount needs at least one repo")
    configs = [_one(repo, org) for repo in given]
    names = [config.name for config in configs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidOptionsError(f"mounted twice: {', '.join(sorted(twice))}")
    return configs


def _one(repo: str | RepoConfig, org: str) -> RepoConfig:
    if isinstance(repo, RepoConfig):
        return repo
    prefix, slash, name = repo.rpartition("/")
    if slash and prefix != org:
        raise InvalidOptionsError(f"{repo}: only repos of {org!r} can be mounted")
    return RepoConfig(name)
