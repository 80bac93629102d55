"""Layouts: which repos appear where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict, cast

from mesa_sdk.errors import InvalidOptionsError
from mesa_sdk.fs._config import Branch, MountMode, RepoConfig, Revision


class RepoName(TypedDict):
    """A repo as :func:`repo` takes it."""

    name: str


class _RepoBase(TypedDict):
    kind: Literal["repo"]
    name: str
    mode: Literal["ro", "rw"]


class RepoEntry(_RepoBase, total=False):
    """A repo in a layout, as JSON has it. :func:`repo` makes one."""

    at: Mapping[str, str]
    branchedFrom: Mapping[str, Any]
    alias: str
    subPaths: Mapping[str, Any]


#: What a path of a layout holds: a repo, or a directory of repos by name or alias.
LayoutEntry = RepoEntry | Sequence[RepoEntry]


class Layout(dict[str, Any]):
    """A layout as `mesa mount --layout` takes it: `json.dumps(layout)`, or `str(layout)`."""

    @property
    def spec(self) -> Mapping[str, LayoutEntry]:
        """The same."""
        return self

    def to_json(self) -> Mapping[str, LayoutEntry]:
        """The same."""
        return self

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def repo(
    selector: str | RepoName,
    *,
    mode: MountMode | Literal["ro", "rw"],
    at: Mapping[str, str] | None = None,
    branched_from: Mapping[str, Any] | None = None,
    bookmark: str | None = None,
    change_id: str | None = None,
    alias: str | None = None,
    sub_paths: Mapping[str, LayoutEntry] | None = None,
) -> RepoEntry:
    """A repo for a layout. `at` (or `bookmark`, or `change_id`) and `branched_from` are those of
    :class:`RepoConfig`; `alias` names it in a list of repos; `sub_paths` mounts others below it.

    >>> repo("docs", mode="ro", at={"bookmark": "main"})
    {'kind': 'repo', 'name': 'docs', 'mode': 'ro', 'at': {'bookmark': 'main'}}
    """
    name = selector if isinstance(selector, str) else selector["name"]
    if "/" in name:
        raise InvalidOptionsError(f"{name!r}: a layout names repos of the client's org, without it")
    config = RepoConfig(name, bookmark, change_id, mode=mode, at=at, branched_from=branched_from)
    made: dict[str, Any] = {"kind": "repo", "name": name, "mode": config.mode.value}
    if config.at != Revision():
        made["at"] = _revision(config.at)
    if config.branched_from is not None:
        made["branchedFrom"] = _branch(config.branched_from)
    if alias is not None:
        made["alias"] = alias
    if sub_paths is not None:
        made["subPaths"] = dict(sub_paths)
    return cast("RepoEntry", made)


def _revision(at: Revision) -> dict[str, str]:
    if at.bookmark is not None:
        return {"bookmark": at.bookmark}
    return {"changeId": cast("str", at.change_id)}


def _branch(branch: Branch) -> dict[str, Any]:
    named = {
        key: value
        for key, value in (("bookmark", branch.bookmark), ("describe", branch.message))
        if value is not None
    }
    return {**_revision(branch.parent), **({"as": named} if named else {})}


def layout(paths: Mapping[str, LayoutEntry]) -> Layout:
    """A layout that was checked."""
    made = Layout(paths)
    places(made)
    return made


def places(spec: Mapping[str, Any]) -> dict[str, RepoConfig]:
    """Where each repo appears: absolute paths without a slash at the end, `/` itself too."""
    found: dict[str, RepoConfig] = {}
    for path, config in _places("/", spec):
        if path in found:
            raise InvalidOptionsError(f"layout: two repos at {path}")
        found[path] = config
    if not found:
        raise InvalidOptionsError("a layout needs at least one repo")
    names: dict[str, RepoConfig] = {}
    for config in found.values():
        if names.setdefault(config.name, config) != config:
            raise InvalidOptionsError(f"layout: {config.name} appears in different ways")
    return found


def mountable(spec: Mapping[str, Any]) -> dict[str, RepoConfig]:
    """The same for a mount in this process, which shows no repo inside another."""
    found = places(spec)
    for path in found:
        for other in found:
            if path != other and f"{path}/".startswith(f"{other.rstrip('/')}/"):
                message = (
                    f"layout: {path} is inside {other}; mounts in the process cannot show that"
                )
                raise InvalidOptionsError(message)
    return found


def _places(base: str, entries: Mapping[str, Any]) -> Iterator[tuple[str, RepoConfig]]:
    for path, entry in entries.items():
        if base == "/" and not path.startswith("/"):
            raise InvalidOptionsError(f"layout: {path!r} is not absolute")
        parts = [part for part in path.split("/") if part]
        if any(part in (".", "..") or "\0" in part for part in parts):
            raise InvalidOptionsError(f"layout: {path!r} is no path for a repo")
        where = "/".join([base.rstrip("/"), *parts]) or "/"
        if isinstance(entry, Mapping):
            if "alias" in entry:
                raise InvalidOptionsError(f"layout: {path!r}: an alias is for repos of a list")
            yield from _place(where, cast("Mapping[str, Any]", entry))
            continue
        for one in cast("Sequence[Mapping[str, Any]]", entry):
            name = str(one.get("alias") or one.get("name"))
            if "/" in name or name in ("", ".", ".."):
                raise InvalidOptionsError(f"layout: {name!r} is no name of a directory")
            yield from _place(f"{where.rstrip('/')}/{name}", one)


def _place(where: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, RepoConfig]]:
    unknown = set(entry) - {"kind", "name", "mode", "at", "branchedFrom", "alias", "subPaths"}
    if unknown or entry.get("kind") != "repo":
        raise InvalidOptionsError(f"layout: {where} is no repo: make it with repo()")
    yield (
        where,
        RepoConfig(
            entry["name"],
            mode=entry["mode"],
            at=entry.get("at"),
            branched_from=entry.get("branchedFrom"),
        ),
    )
    yield from _places(where, entry.get("subPaths") or {})
