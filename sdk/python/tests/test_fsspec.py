"""`mesa://`: fsspec's own conformance tests, and what they leave out."""

# fsspec says little of its types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

import pickle
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import fsspec as untyped
import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractPutTests,
)

from mesa_sdk import FileUpsert, Mesa
from mesa_sdk.integrations.fsspec import MesaFsspecFileSystem
from support import ORG, Server, unique

fsspec: Any = untyped


@pytest.fixture(scope="module")
def spec(server: Server) -> Generator[Any, None, None]:
    found = fsspec.filesystem("mesa", api_url=server.url, api_key=server.admin_key)
    assert isinstance(found, MesaFsspecFileSystem)
    yield found
    found.close()


@pytest.fixture(scope="module")
def conformance_repo(server: Server) -> str:
    with Mesa(api_url=server.url, api_key=server.admin_key) as mesa:
        return mesa.repos.create(name=unique("fsspec")).name


@pytest.fixture
def repo(mesa: Mesa) -> str:
    return mesa.repos.create(name=unique("fsspec")).name


class MesaFixtures(AbstractFixtures):
    @pytest.fixture
    def fs(self, spec: Any) -> Any:
        return spec

    @pytest.fixture
    def fs_path(self, conformance_repo: str) -> str:
        return f"{ORG}/{conformance_repo}"

    @pytest.fixture
    def fs_join(self) -> Any:
        return lambda *parts: "/".join(parts)


class TestCopy(MesaFixtures, AbstractCopyTests):
    pass


class TestGet(MesaFixtures, AbstractGetTests):
    pass


class TestPut(MesaFixtures, AbstractPutTests):
    pass


def test_urls(server: Server, repo: str):
    options = {"api_url": server.url, "api_key": server.admin_key}
    url = f"mesa://{ORG}/{repo}/dir/data.txt"
    with fsspec.open(url, "w", **options) as file:
        file.write("first\n")
    with fsspec.open(url, **options) as file:
        assert file.read() == b"first\n"
    fs, path = fsspec.url_to_fs(url, **options)
    assert path == f"{ORG}/{repo}/dir/data.txt"
    assert fs.unstrip_protocol(path) == url
    assert fs.ls(f"mesa://{ORG}/{repo}/", detail=False) == [f"{ORG}/{repo}/dir"]
    assert f"{ORG}/{repo}" in fs.ls(f"mesa://{ORG}", detail=False)
    assert fs.ls("mesa://", detail=False) == [ORG]
    assert fs.isdir(ORG)
    assert not fs.exists("other-org")
    assert not fs.exists(f"{ORG}/{repo}-none/x")
    assert pickle.loads(pickle.dumps(fs)).cat(path) == b"first\n"


def test_bookmarks_and_changes(spec: Any, mesa: Mesa, repo: str):
    root = f"{ORG}/{repo}"
    spec.pipe(f"{root}/f", b"on main")
    spec.flush()
    base = mesa.changes.create(
        repo=repo,
        base_change_id="main",
        message="Other",
        author={"name": "Ada", "email": "ada@example.com"},
        files=[FileUpsert("f", b"on other")],
    )
    mesa.bookmarks.create(repo=repo, name="feature/x", change_id=base.id)
    assert spec.cat(f"{root}/f") == b"on main"
    assert spec.cat(f"{root}@feature%2Fx/f") == b"on other"
    assert spec.cat(f"{root}@{base.id}/f") == b"on other"
    assert spec.ls(f"{root}@feature%2Fx", detail=False) == [f"{root}@feature%2Fx/f"]
    spec.cp_file(f"{root}@feature%2Fx/f", f"{root}/copied")
    spec.mv(f"{root}/copied", f"{root}@feature%2Fx/moved")
    assert spec.cat(f"{root}@feature%2Fx/moved") == b"on other"
    assert not spec.exists(f"{root}/copied")


def test_content(spec: Any, repo: str):
    path = f"{ORG}/{repo}/f"
    spec.pipe_file(path, b"0123456789")
    assert spec.cat_file(path, 2, 4) == b"23"
    assert spec.cat_file(path, -3) == b"789"
    assert spec.cat_file(path, end=-8) == b"01"
    assert (spec.head(path, 3), spec.tail(path, 3), spec.size(path)) == (b"012", b"789", 10)
    with pytest.raises(FileExistsError):
        spec.pipe_file(path, b"", mode="create")
    with spec.open(path, "ab") as file:
        file.write(b"more")
    with spec.open(path, "r+b") as file:
        file.write(b"X")
    assert spec.cat(path) == b"X123456789more"
    before = spec.checksum(path), spec.ukey(path)
    spec.touch(path, truncate=False)
    assert spec.cat(path) == b"X123456789more"
    spec.touch(path)
    assert spec.size(path) == 0
    assert (spec.checksum(path), spec.ukey(path)) != before
    assert spec.modified(path).tzinfo is not None
    assert spec.created(path).tzinfo is not None


def test_directories(spec: Any, repo: str):
    root = f"{ORG}/{repo}"
    spec.mkdir(f"{root}/a/b")
    with pytest.raises(FileExistsError):
        spec.mkdir(f"{root}/a/b")
    with pytest.raises(FileExistsError):
        spec.makedirs(f"{root}/a/b")
    spec.makedirs(f"{root}/a/b", exist_ok=True)
    with pytest.raises(FileNotFoundError):
        spec.mkdir(f"{root}/x/y", create_parents=False)
    spec.touch(f"{root}/a/b/f")
    with pytest.raises(OSError):
        spec.rmdir(f"{root}/a/b")
    assert spec.find(root) == [f"{root}/a/b/f"]
    assert spec.glob(f"{root}/**/f") == [f"{root}/a/b/f"]
    assert spec.info(f"{root}/a")["type"] == "directory"
    spec.mv(f"{root}/a", f"{root}/z", recursive=True)
    assert spec.find(root) == [f"{root}/z/b/f"]
    spec.rm(f"{root}/z", recursive=True)
    assert spec.ls(root) == []
    for name in "abc":
        spec.touch(f"{root}/{name}.txt")
    spec.rm(f"{root}/[ab].txt")
    assert spec.ls(root, detail=False) == [f"{root}/c.txt"]
    with pytest.raises(PermissionError):
        spec.mkdir(f"{ORG}")


def test_symlinks(spec: Any, repo: str):
    root = f"{ORG}/{repo}"
    spec.pipe(f"{root}/f", b"x")
    fs, at = spec._at(root)
    fs.symlink("f", f"{at}/soft")
    fs.symlink("none", f"{at}/broken")
    soft, broken = spec.info(f"{root}/soft"), spec.info(f"{root}/broken")
    assert (soft["type"], soft["islink"], soft["destination"], soft["size"]) == (
        "file",
        True,
        "f",
        1,
    )
    assert (broken["type"], broken["islink"]) == ("link", True)


def test_transactions(spec: Any, repo: str):
    root = f"{ORG}/{repo}"
    with spec.transaction:
        with spec.open(f"{root}/f", "wb") as file:
            file.write(b"whole")
        assert not spec.exists(f"{root}/f")
    assert spec.cat(f"{root}/f") == b"whole"
    with pytest.raises(ZeroDivisionError), spec.transaction:
        with spec.open(f"{root}/f", "wb") as file:
            file.write(b"half")
        raise ZeroDivisionError
    assert spec.cat(f"{root}/f") == b"whole"
    assert spec.ls(root, detail=False) == [f"{root}/f"]


def test_a_program_that_closes_nothing(server: Server, mesa: Mesa, repo: str, tmp_path: Path):
    text = f"""
import fsspec
with fsspec.open("mesa://{ORG}/{repo}/left", "wb") as file:
    file.write(b"left")
"""
    environment = {"MESA_API_URL": server.url, "MESA_API_KEY": server.admin_key}
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert mesa.content.read(repo=repo, path="left") == b"left"
