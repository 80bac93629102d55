"""A repo in a sandbox of the OpenAI Agents SDK: its own sessions, `mesa` in them, FUSE."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from agents.sandbox import Manifest
from agents.sandbox.sandboxes.unix_local import UnixLocalSandboxClient

from mesa_sdk import AsyncMesa
from mesa_sdk.integrations.openai_agents import agent_session, mount_in_session
from mesa_sdk.sandbox import SandboxCommand
from support import mesa_binary, unique

pytestmark = pytest.mark.anyio


@pytest.fixture
async def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A sandbox whose image has `mesa`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mesa").symlink_to(mesa_binary())
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    client = UnixLocalSandboxClient()
    made = await client.create(manifest=Manifest())
    await made.start()
    yield made
    await made.aclose()
    await client.delete(made)


async def test_a_repo_in_a_workspace(server, session):
    async with AsyncMesa(api_key=server.admin_key, api_url=server.url) as mesa:
        repo = (await mesa.repos.create(name=unique("agents"))).name
        async with mount_in_session(mesa, session, repo=repo, install="none") as work:
            assert work.path.startswith(str(session.state.manifest.root))
            inside = Path(work.path)
            done = await session.exec(f"cd {work.path} && echo hello > f && cat f")
            assert (done.exit_code, done.stdout) == (0, b"hello\n")
            # The SDK's own way of writing files leads there too.
            await session.write(inside / "g", io.BytesIO(b"written"))
        assert await mesa.content.read(repo=repo, path="f") == b"hello\n"
        assert await mesa.content.read(repo=repo, path="g") == b"written"
        listed = await session.exec("ls", "-A", str(session.state.manifest.root), shell=False)
        assert b".mesa-" not in listed.stdout


async def test_what_is_secret_is_seen_by_no_program(session):
    runner = agent_session(session)
    script = 'read -r line; echo "$line" | wc -c; ls -A; tr "\\0" " " </proc/$$/cmdline'
    command = SandboxCommand("", ("sh", "-c", script), {}, "KEY=secret\n", False, 20)
    done = await runner.run(command)
    assert done.exit_code == 0, done
    assert done.stdout.split()[0] == "11"
    assert "secret" not in done.stdout
    assert ".mesa-" not in done.stdout
    failed = await runner.run(SandboxCommand("", ("sh", "-c", "exit 3"), {}, "", False, 20))
    assert failed.exit_code == 3
