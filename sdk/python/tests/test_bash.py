"""A shell on a mount."""

import sys

import pytest

from mesa_sdk import AsyncMesa, ExecResult, MissingDependencyError
from mounts import ORG, Mounted
from support import Server, unique


def test_as_the_published_package_has_it(work: Mounted):
    work.fs.mkdir(work.at("src"))
    work.fs.write(work.at("src/a.py"), b"# TODO: this\nx = 1\n")
    work.fs.write(work.at("src/b.py"), b"# TODO: that\n")
    bash = work.fs.bash(cwd=work.root, env={"CI": "true"}, timeout_ms=30_000)
    found = bash.run("cd src; grep -n TODO a.py b.py | sort | head -20; echo $CI")
    assert isinstance(found, ExecResult)
    assert found.exit_code == 0, found
    assert found.stdout.decode().splitlines() == [
        "a.py:1:# TODO: this",
        "b.py:1:# TODO: that",
        "true",
    ]
    missing = bash.run("cat none.txt")
    assert missing.exit_code == 1
    assert b"none.txt" in missing.stderr


def test_what_it_writes_is_in_the_mount(work: Mounted):
    bash = work.fs.bash(cwd=work.root)
    done = bash.run(
        """
        mkdir -p a/b && cd a
        echo one > b/f; echo two >> b/f
        cp b/f g; mv g h; ln -s h l; chmod 755 h
        rm b/f; rmdir b; touch empty
        pwd
        """
    )
    assert (done.exit_code, done.stderr) == (0, b"")
    assert done.stdout.decode().strip() == work.at("a")
    assert work.fs.read(work.at("a/h")) == b"one\ntwo\n"
    assert work.fs.stat(work.at("a/h")).mode & 0o777 == 0o755
    assert sorted(work.fs.readdir(work.at("a"))) == ["empty", "h", "l"]
    assert work.on_server("a/h") == b"one\ntwo\n"


def test_it_keeps_its_state_and_sees_nothing_of_the_host(
    work: Mounted, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOST_SECRET", "secret")
    bash = work.fs.bash()
    bash.run(f"cd {work.root}; kept=1")
    assert bash.run("pwd; echo $kept[$HOST_SECRET]").stdout.decode().split() == [work.root, "1[]"]
    assert bash.run("cat /etc/passwd").exit_code != 0
    assert bash.run("ls /").stdout.decode().split() == [ORG]


def test_it_ends_in_time(work: Mounted):
    assert work.fs.bash(timeout_ms=300).run("sleep 60").exit_code == 124


@pytest.mark.anyio
async def test_awaiting(server: Server):
    async with AsyncMesa(api_key=server.admin_key, api_url=server.url) as mesa:
        name = (await mesa.repos.create(name=unique("m"))).name
        async with mesa.fs.mount(repos=[name]) as fs:
            bash = fs.bash(cwd=f"/{ORG}/{name}")
            assert (await bash.exec("echo hi > f; wc -c < f")).stdout.strip() == b"3"
            assert await fs.read(f"/{ORG}/{name}/f") == b"hi\n"


def test_without_its_package(work: Mounted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "just_bash", None)
    with pytest.raises(MissingDependencyError, match="bash"):
        work.fs.bash()
