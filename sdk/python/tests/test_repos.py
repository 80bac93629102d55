"""Repos, their tags and upstreams."""

import pytest

from mesa_sdk import (
    ConflictError,
    InvalidOptionsError,
    Mesa,
    NotFoundError,
    TokenAuth,
    UpstreamConfig,
    UsernamePasswordAuth,
    ValidationError,
)
from support import ORG, ROOT, unique


def test_life(mesa: Mesa):
    name = unique("py")
    made = mesa.repos.create(name=name, default_bookmark="trunk", tags={"Team": "a"})
    assert (made.org, made.name, made.default_bookmark) == (ORG, name, "trunk")
    assert (made.head_change_id, made.upstream, made.tags) == (ROOT, None, {"team": "a"})
    assert made.created_at.utcoffset() is not None
    assert mesa.repos.get(repo=name) == made
    changed = mesa.repos.update(repo=name, name=f"{name}.2", tags={"team": None, "x": "y"})
    assert (changed.id, changed.name, changed.tags) == (made.id, f"{name}.2", {"x": "y"})
    assert mesa.repos.delete(repo=changed.name).success
    with pytest.raises(NotFoundError):
        mesa.repos.get(repo=changed.name)


def test_a_name_is_made(mesa: Mesa):
    assert mesa.repos.create().name


def test_names_are_encoded(mesa: Mesa):
    for odd in ("a/b c", "ü", "%2F", "a?b", ".."):
        with pytest.raises((NotFoundError, ValidationError)):
            mesa.repos.get(repo=odd)
    with pytest.raises(InvalidOptionsError):
        mesa.repos.get(repo="")


def test_tags(mesa: Mesa):
    team = unique("team")
    repos = [mesa.repos.create() for _ in range(2)]
    ids = [repo.id for repo in repos]
    assert mesa.repos.bulk_update_tags(
        repo_ids=ids, action="set", key="team", value=team
    ).updated == len(ids)
    assert {r.id for r in mesa.repos.iterate(tags=f"team:{team}", limit=1)} == set(ids)
    listed = mesa.repos.list(tags={"$or": [{"team": {"$starts_with": team}}, {"x": "-"}]})
    assert {r.id for r in listed.repos} == set(ids)
    mesa.repos.bulk_update_tags(repo_ids=ids[:1], action="remove", key="team")
    assert [r.id for r in mesa.repos.iterate(tags=f"team:{team}")] == ids[1:]
    with pytest.raises(NotFoundError):
        mesa.repos.bulk_update_tags(repo_ids=["repo_none"], action="remove", key="team")


def test_upstream(mesa: Mesa):
    name = unique("up")
    auth = TokenAuth("t0ken", token_username="git")
    assert "t0ken" not in repr(auth)
    made = mesa.repos.create(name=name, upstream=UpstreamConfig("https://git.example/a.git", auth))
    assert made.upstream is not None
    assert (made.upstream.auth_kind, made.upstream.latest_sync) == ("token", None)
    kept = mesa.repos.update(repo=name, upstream=UpstreamConfig("https://git.example/b.git"))
    assert kept.upstream is not None
    assert (kept.upstream.url, kept.upstream.auth_kind) == ("https://git.example/b.git", "token")
    other = UpstreamConfig("https://git.example/b.git", UsernamePasswordAuth("u", "p"))
    changed = mesa.repos.update(repo=name, upstream=other).upstream
    assert changed is not None
    assert changed.auth_kind == "username_password"
    cleared = mesa.repos.update(
        repo=name, upstream=UpstreamConfig("https://git.example/b.git", None)
    )
    assert cleared.upstream is not None
    assert cleared.upstream.auth_kind is None
    assert mesa.repos.update(repo=name, default_bookmark="main").upstream == cleared.upstream
    assert mesa.repos.update(repo=name, upstream=None).upstream is None


def test_syncs_are_listed_and_refused_until_they_exist(mesa: Mesa):
    repo = mesa.repos.create(upstream=UpstreamConfig("https://git.example/a.git")).name
    assert mesa.repos.list_upstream_syncs(repo=repo).syncs == []
    assert list(mesa.repos.iterate_upstream_syncs(repo=repo)) == []
    with pytest.raises(ValidationError) as caught:
        mesa.repos.sync_upstream(repo=repo, direction="pull", ref_globs={"branches": "main"})
    assert caught.value.code == "NOT_SUPPORTED"
    with pytest.raises(NotFoundError):
        mesa.repos.get_upstream_sync(repo=repo, sync_id="sync_none")


def test_pages(mesa: Mesa):
    team = unique("paged")
    made = [mesa.repos.create(tags={"team": team}) for _ in range(5)]
    tags = f"team:{team}"
    page = mesa.repos.list(tags=tags, limit=2)
    assert (len(page.repos), page.has_more) == (2, True)
    rest = mesa.repos.list(tags=tags, limit=100, cursor=page.next_cursor)
    assert (len(rest.repos), rest.has_more, rest.next_cursor) == (3, False, None)
    lazily = mesa.repos.iterate(tags=tags, limit=2)
    assert [r.id for r in lazily] == [r.id for r in [*page.repos, *rest.repos]]
    assert {r.id for r in lazily} == {r.id for r in made}
    assert [len(p.items) for p in lazily.pages()] == [2, 2, 1]
    from_there = mesa.repos.iterate(tags=tags, cursor=page.next_cursor)
    assert [r.id for r in from_there] == [r.id for r in rest.repos]


def test_a_name_in_use_is_a_conflict(mesa: Mesa):
    name = mesa.repos.create().name
    with pytest.raises(ConflictError) as caught:
        mesa.repos.create(name=name)
    assert caught.value.code == "REPO_EXISTS"
