"""The wheel and the source archive, as somebody else installs them."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from mesa_sdk import __version__
from support import Server, mesa_binary

PROJECT = Path(__file__).parents[1]

PROGRAM = """
import sys
import mesa_sdk
from mesa_sdk import Mesa, MissingDependencyError, PrivateKey
assert "cryptography" not in sys.modules
with Mesa() as mesa:
    repo = mesa.repos.create()
    assert mesa.repos.get(repo=repo.name) == repo
    assert mesa.tokens.create().token
try:
    PrivateKey.generate("o")
except MissingDependencyError as error:
    print(mesa_sdk.__version__, error.package)
"""


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both archives, the wheel built from the source archive."""
    if given := os.environ.get("MESA_SDK_DIST"):
        return Path(given)
    made = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(PROJECT)]
    subprocess.run(build, check=True, capture_output=True)
    return made


def only(dist: Path, pattern: str) -> Path:
    (found,) = dist.glob(pattern)
    return found


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path):
    sources = {str(p.relative_to(PROJECT / "src")) for p in PROJECT.glob("src/mesa_sdk/**/*.py")}
    names = set(zipfile.ZipFile(only(dist, "*.whl")).namelist())
    packed = {name for name in names if ".dist-info/" not in name}
    assert packed == sources | {"mesa_sdk/py.typed"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_source_archive_holds_what_builds_and_tests_it(dist: Path):
    with tarfile.open(only(dist, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "tests/conftest.py"} <= names
    assert "src/mesa_sdk/py.typed" in names


def test_it_works_in_an_empty_environment(dist: Path, server: Server, tmp_path: Path):
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = str(venv / "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python]
    pins = str(PROJECT / "requirements-dev.txt")
    install = ["install", "-q", "-c", pins, str(only(dist, "*.whl"))]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    subprocess.run([*pip, "check"], check=True, capture_output=True)
    ran = subprocess.run(
        [python, "-W", "error", "-c", PROGRAM],
        env={"MESA_API_URL": server.url, "MESA_API_KEY": server.admin_key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[1:] == ["cryptography"]


def test_its_version_is_the_server_s():
    said = subprocess.run([mesa_binary(), "--version"], check=True, capture_output=True, text=True)
    assert said.stdout.split()[:2] == ["mesa", __version__]
