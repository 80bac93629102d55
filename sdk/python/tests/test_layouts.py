"""Layouts and what is said of repos: without a server, and without the native module."""

import json
from typing import Any

import pytest

from mesa_sdk import AsyncMesa, InvalidOptionsError, Layout, Mesa, MountMode, RepoConfig, repo
from mesa_sdk.fs import Branch, Revision
from mesa_sdk.fs._config import repo_configs
from mesa_sdk.fs._layout import places


def test_as_the_published_package_writes_it():
    with Mesa(api_key="x", org="acme") as mesa:
        made = mesa.fs(
            layout={
                "/workspace": repo("agent-workspace", mode="rw"),
                "/ref": [
                    repo("docs", mode="ro", at={"bookmark": "main"}),
                    repo({"name": "style"}, mode="ro", alias="guide"),
                ],
                "/fork": repo(
                    "base",
                    mode="rw",
                    branched_from={"bookmark": "main", "as": {"bookmark": "mine", "describe": "d"}},
                ),
            }
        ).layout()
    assert (
        json.loads(str(made))
        == json.loads(json.dumps(made))
        == made
        == {
            "/workspace": {"kind": "repo", "name": "agent-workspace", "mode": "rw"},
            "/ref": [
                {"kind": "repo", "name": "docs", "mode": "ro", "at": {"bookmark": "main"}},
                {"kind": "repo", "name": "style", "mode": "ro", "alias": "guide"},
            ],
            "/fork": {
                "kind": "repo",
                "name": "base",
                "mode": "rw",
                "branchedFrom": {"bookmark": "main", "as": {"bookmark": "mine", "describe": "d"}},
            },
        }
    )
    assert isinstance(made, Layout)
    assert made.spec is made.to_json() is made
    assert str(made).endswith("}\n")
    found = places(made)
    assert list(found) == ["/workspace", "/ref/docs", "/ref/guide", "/fork"]
    assert found["/fork"].branched_from == Branch(Revision("main"), "mine", "d")
    assert found["/ref/docs"] == RepoConfig("docs", at={"bookmark": "main"}, mode="ro")


def test_repos_below_repos():
    inner = {"lib": repo("lib", mode="ro", change_id="k" * 32)}
    found = places({"/work": repo("work", mode="rw", sub_paths=inner)})
    assert {path: config.name for path, config in found.items()} == {
        "/work": "work",
        "/work/lib": "lib",
    }
    assert found["/work/lib"].change_id == "k" * 32
    with Mesa(api_key="x", org="o") as mesa:
        definition = mesa.fs(layout={"/work": repo("work", mode="rw", sub_paths=inner)})
        assert definition.layout()
        with pytest.raises(InvalidOptionsError, match="inside"):
            definition.mount()


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"work": repo("r", mode="rw")},
        {"/a/../b": repo("r", mode="rw")},
        {"/a": repo("r", mode="rw"), "/a/": repo("s", mode="rw")},
        {"/a": [repo("r", mode="rw"), repo("s", mode="rw", alias="r")]},
        {"/a": repo("r", mode="rw"), "/b": repo("r", mode="ro")},
        {"/a": repo("r", mode="rw", alias="x")},
        {"/a": [repo("r", mode="rw", alias="..")]},
        {"/a": {"kind": "folder", "name": "r", "mode": "rw"}},
        {"/a": {"kind": "repo", "name": "r", "mode": "rw", "other": 1}},
    ],
)
def test_layouts_that_cannot_be(layout: Any):
    for mesa in (Mesa(api_key="x"), AsyncMesa(api_key="x")):
        with pytest.raises(InvalidOptionsError):
            mesa.fs(layout=layout)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": "r", "bookmark": "b", "change_id": "k"},
        {"name": "r", "bookmark": "b", "at": {"bookmark": "b"}},
        {"name": "r", "at": {"bookmark": "b", "change_id": "k"}},
        {"name": "r", "at": {}},
        {"name": "r", "at": {"tag": "b"}},
        {"name": "r", "mode": "x"},
        {"name": "r", "mode": "ro", "read_only": False},
        {"name": "r", "mode": "ro", "branched_from": {"bookmark": "b"}},
        {"name": "r", "bookmark": "b", "branched_from": {"bookmark": "b"}},
        {"name": "r", "branched_from": {"bookmark": "b", "as": {"tag": "x"}}},
    ],
)
def test_repos_that_cannot_be(options: dict[str, Any]):
    with pytest.raises(InvalidOptionsError):
        RepoConfig(**options)


def test_both_generations_of_repos():
    old = RepoConfig("r", "main", None, read_only=True)
    new = RepoConfig("r", at={"bookmark": "main"}, mode=MountMode.ro)
    assert old == new
    assert (old.bookmark, old.change_id, old.mode) == ("main", None, "ro")
    assert "main" in repr(old)
    assert repo_configs(["a", "acme/b", old], "acme") == [RepoConfig("a"), RepoConfig("b"), old]
    both = old.with_defaults(read_only=False, isolate=True)
    assert (both.read_only, both.isolate, old.isolate) == (True, True, False)


@pytest.mark.parametrize("repos", [[], ["other/a"], ["a", "acme/a"], "a"])
def test_lists_of_repos_that_cannot_be(repos: Any):
    with Mesa(api_key="x", org="acme") as mesa, pytest.raises(InvalidOptionsError):
        mesa.fs.mount(repos=repos)
        repo_configs(repos, "acme")
