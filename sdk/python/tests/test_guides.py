"""What the five sandbox guides do outside of the sandbox, in Python: a repo, a key for one session,
and the line for the sandbox. The key then does there what the guides expect of it."""

import os

import pytest

from mesa_sdk import AsyncMesa, AuthorizationError, Mesa, NotFoundError
from support import ORG, Server, unique


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("MESA_API_KEY", server.admin_key)
    monkeypatch.setenv("MESA_API_URL", server.url)


@pytest.mark.usefixtures("_environment")
def test_blaxel(server: Server):
    mesa = Mesa(api_key=os.environ["MESA_API_KEY"])

    ephemeral_key = mesa.api_keys.create(
        name="sandbox-session",
        scopes=["read", "write"],
        expires_in_seconds=3600,
    )
    command = f"MESA_ORGS=my-org:{ephemeral_key.key} mesa mount -d -y"

    mesa.close()
    works_in_the_sandbox(command.split(maxsplit=1)[0], server)


@pytest.mark.usefixtures("_environment")
def test_daytona(server: Server):
    name = unique("agent-workspace")
    mesa = Mesa(api_key=os.environ["MESA_API_KEY"])

    repo = mesa.repos.create(name=name)
    ephemeral_key = mesa.api_keys.create(
        name="sandbox-session",
        scopes=["read", "write"],
        expires_in_seconds=3600,
        repo_ids=[repo.id],
    )

    other = mesa.repos.create().name
    mesa.close()
    with Mesa(api_key=ephemeral_key.key) as inside:
        assert [one.name for one in inside.repos.list().repos] == [name]
        with pytest.raises(NotFoundError):
            inside.repos.get(repo=other)
    works_in_the_sandbox(f"MESA_ORGS={ORG}:{ephemeral_key.key}", server)


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize("guide", ["e2b", "sprites", "superserve"])
def test_e2b_sprites_superserve(guide: str, server: Server):
    mesa = Mesa(api_key=os.environ["MESA_API_KEY"])

    mesa.repos.create(name=unique(guide))
    ephemeral_key = mesa.api_keys.create(
        name="sandbox-session",
        scopes=["read", "write"],
        expires_in_seconds=3600,
    )

    mesa.close()
    works_in_the_sandbox(f"MESA_ORGS={ORG}:{ephemeral_key.key}", server)


@pytest.mark.anyio
@pytest.mark.usefixtures("_environment")
async def test_as_programs_for_the_published_package_write_it(server: Server):
    async with Mesa(api_key=os.environ["MESA_API_KEY"]) as mesa:
        repo = await mesa.repos.create(name=unique("agent-workspace"))
        ephemeral_key = await mesa.api_keys.create(
            name="sandbox-session",
            scopes=["read", "write"],
            expires_in_seconds=3600,
            repo_ids=[repo.id],
        )
    async with AsyncMesa(api_key=ephemeral_key.key) as inside:
        assert (await inside.repos.list()).repos[0].id == repo.id
    works_in_the_sandbox(f"MESA_ORGS={ORG}:{ephemeral_key.key}", server)


def works_in_the_sandbox(setting: str, server: Server) -> None:
    """The key of the setting reads and writes, and makes no keys."""
    name, _, value = setting.partition("=")
    org, _, key = value.partition(":")
    assert (name, org) == ("MESA_ORGS", ORG)
    with Mesa(api_key=key, api_url=server.url) as inside:
        who = inside.whoami()
        assert (who.org.slug, who.key_name, who.scopes) == (
            ORG,
            "sandbox-session",
            ["read", "write"],
        )
        assert who.expires_at is not None
        (repo, *_) = inside.repos.list(limit=1).repos
        assert inside.repos.update(repo=repo.name, tags={"seen": "yes"}).tags["seen"] == "yes"
        with pytest.raises(AuthorizationError):
            inside.api_keys.list()
