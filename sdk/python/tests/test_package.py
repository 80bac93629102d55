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

FILESYSTEM = """
from mesa_sdk import Mesa, _native
assert _native.__version__
with Mesa() as mesa:
    repo = mesa.repos.create().name
    with mesa.fs.mount(repos=[repo]) as fs:
        path = fs.roots[repo] + "/f"
        fs.write(path, b"hello")
        print(fs.read(path).decode())
"""

#: What a platform without a native module gets.
PURE = """
from mesa_sdk import Mesa, NativeModuleMissingError, repo
with Mesa() as mesa:
    name = mesa.repos.create().name
    assert mesa.fs(layout={"/w": repo(name, mode="ro")}).token().token
    try:
        mesa.fs.mount(repos=[name]).open()
    except NativeModuleMissingError as error:
        print(error)
"""

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
    """The archives, both wheels built from the source archive."""
    if given := os.environ.get("MESA_SDK_DIST"):
        return Path(given)
    made = tmp_path_factory.mktemp("dist")
    native = os.environ.get("MESA_SDK_NATIVE") or PROJECT.parents[1] / "target/debug/lib_native.so"
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(PROJECT)]
    for environment in ({}, {"MESA_SDK_NATIVE": str(native)}):
        subprocess.run(build, check=True, capture_output=True, env={**os.environ, **environment})
    return made


def only(dist: Path, pattern: str) -> Path:
    (found,) = dist.glob(pattern)
    return found


def packed(wheel: Path) -> set[str]:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    return {name for name in names if ".dist-info/" not in name}


def environment(where: Path, wheel: Path, *more: str) -> str:
    """A virtual environment with the wheel and what it needs; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(where)], check=True)
    python = str(where / "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", python]
    pins = str(PROJECT / "requirements-dev.txt")
    install = ["install", "-q", "-c", pins, str(wheel), *more]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    subprocess.run([*pip, "check"], check=True, capture_output=True)
    return python


def output(python: str, program: str, server: Server, at: Path) -> str:
    ran = subprocess.run(
        [python, "-W", "error", "-c", program],
        env={"MESA_API_URL": server.url, "MESA_API_KEY": server.admin_key},
        cwd=at,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_wheels_hold_the_package_and_nothing_else(dist: Path):
    sources = {str(p.relative_to(PROJECT / "src")) for p in PROJECT.glob("src/mesa_sdk/**/*.py*")}
    sources = {name for name in sources if not name.endswith(".pyc")}
    assert "mesa_sdk/_native.pyi" in sources
    pure, native = only(dist, "*-py3-none-any.whl"), only(dist, "*-cp310-abi3-*.whl")
    assert packed(pure) == sources | {"mesa_sdk/py.typed"}
    assert packed(native) == packed(pure) | {"mesa_sdk/_native.abi3.so"}


def test_the_source_archive_holds_what_builds_and_tests_it(dist: Path):
    with tarfile.open(only(dist, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "hatch_build.py",
        "tests/conftest.py",
    } <= names
    assert "src/mesa_sdk/py.typed" in names


def test_it_works_in_an_empty_environment(dist: Path, server: Server, tmp_path: Path):
    python = environment(tmp_path / "venv", only(dist, "*-cp310-abi3-*.whl"))
    assert output(python, PROGRAM, server, tmp_path).split()[1:] == ["cryptography"]
    assert output(python, FILESYSTEM, server, tmp_path) == "hello\n"


def test_it_works_without_the_native_module(dist: Path, server: Server, tmp_path: Path):
    python = environment(tmp_path / "venv", only(dist, "*-py3-none-any.whl"))
    assert output(python, PROGRAM, server, tmp_path).split()[1:] == ["cryptography"]
    assert "native module" in output(python, PURE, server, tmp_path)


def test_its_version_is_the_server_s():
    said = subprocess.run([mesa_binary(), "--version"], check=True, capture_output=True, text=True)
    assert said.stdout.split()[:2] == ["mesa", __version__]
