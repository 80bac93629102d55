"""Orgs, keys, tokens of the org, audit."""

import pytest

from mesa_sdk import AuthenticationError, InvalidOptionsError, Mesa, NotFoundError, PrivateKey
from support import ORG, Server, unique


def test_whoami(mesa: Mesa):
    who = mesa.whoami()
    assert (who.org.slug, who.scopes, who.repo_ids) == (ORG, ["read", "write", "admin"], None)
    assert who.key_id is not None
    assert who.to_dict()["org"] == {"id": who.org.id, "slug": ORG, "name": who.org.name}
    assert mesa.resolve_org() == mesa.org.slug == ORG
    assert mesa.resolve_org("other") == "other"


def test_org(mesa: Mesa):
    org = mesa.org.get()
    before = org.num_repos
    assert (org.slug, org.name) == (ORG, ORG)
    mesa.repos.create()
    assert mesa.org.get().num_repos == before + 1
    assert mesa.org.get(org=ORG).created_at.tzinfo is not None


def test_audit(mesa: Mesa):
    name = unique("audited")
    repo = mesa.repos.create(name=name)
    page = mesa.org.audit(limit=1)
    assert page.has_more
    assert page.records[0].action
    assert page.items is page.records
    newest = next(iter(mesa.org.iterate_audit(limit=2)))
    assert (newest.key_id, newest.target) == (mesa.whoami().key_id, page.records[0].target)
    assert repo.id in newest.target or name in str(newest)


def test_life_of_an_api_key(mesa: Mesa, server: Server):
    repo = mesa.repos.create()
    name = unique("key")
    made = mesa.api_keys.create(
        name=name,
        scopes=["read", "write"],
        repo_ids=[repo.id],
        expires_in_seconds=3600,
        tags={"team": "a"},
    )
    assert made.key.startswith("mesa_")
    assert made.key not in repr(made)
    assert (made.name, made.scopes, made.repo_ids) == (name, ["read", "write"], [repo.id])
    assert made.expires_at is not None
    (listed,) = mesa.api_keys.iterate(name_contains=name, status="active")
    assert (listed.id, listed.repo_ids, listed.tags) == (made.id, [repo.id], {"team": "a"})
    assert listed.expires_at is not None
    assert mesa.api_keys.list(repo_id=repo.id, scope="write").api_keys == [listed]
    changed = mesa.api_keys.update(key_id=made.id, tags={"team": None, "x": "y"})
    assert changed.tags == {"x": "y"}
    with Mesa(api_key=made.key, api_url=server.url) as scoped:
        assert [r.id for r in scoped.repos.iterate()] == [repo.id]
        assert mesa.api_keys.revoke(key_id=made.id).success
        with pytest.raises(AuthenticationError) as caught:
            scoped.repos.list()
    assert caught.value.code == "CREDENTIAL_REVOKED"
    assert mesa.api_keys.list(name_contains=name, status="revoked").api_keys[0].revoked_at


def test_life_of_a_signing_key(mesa: Mesa, server: Server):
    key = PrivateKey.generate(ORG)
    made = mesa.signing_keys.create(
        public_key=key, name="s", scopes=["read"], expires_in_seconds=3600, tags={"a": "b"}
    )
    assert (made.public_key, made.scopes, made.tags) == (key.public_key, ["read"], {"a": "b"})
    assert made.id in [found.id for found in mesa.signing_keys.iterate(status="active")]
    assert mesa.signing_keys.list(limit=1).items[0].created_at <= made.created_at
    with Mesa(private_key=key.text, api_url=server.url) as signing:
        assert signing.whoami().key_id == made.id
        assert mesa.signing_keys.revoke(key_id=made.id).success
        with pytest.raises(AuthenticationError):
            signing.whoami()
    with pytest.raises(NotFoundError):
        mesa.signing_keys.revoke(key_id="key_none")


def test_orgs(mesa: Mesa, server: Server):
    slug = unique("org")
    made = mesa.admin.create_org(slug=slug, name="Another")
    assert (made.slug, made.name) == (slug, "Another")
    assert made.admin_key.key not in repr(made)
    assert slug in [org.slug for org in mesa.admin.iterate_orgs(limit=1)]
    assert mesa.admin.list_orgs().orgs
    with Mesa(api_key=made.admin_key.key, api_url=server.url) as other:
        assert other.org.slug == slug
        with pytest.raises(NotFoundError):
            other.repos.list(org=ORG)


def test_a_named_org_is_not_asked_for(server: Server):
    with Mesa(api_key=server.admin_key, api_url=server.url, org="elsewhere") as mesa:
        with pytest.raises(NotFoundError):
            mesa.repos.list()
        assert isinstance(mesa.repos.list(org=ORG, limit=1).repos, list)
    with (
        Mesa(api_key=server.admin_key, api_url=server.url) as mesa,
        pytest.raises(InvalidOptionsError),
    ):
        mesa.repos.get(repo="")
