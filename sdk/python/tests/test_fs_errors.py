"""Failures are Python's own, with number, text and paths."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesa_sdk import MesaFileSystem
from mounts import Mounted, again
from support import Server

Call = Callable[[MesaFileSystem, str], Any]

CASES: dict[str, tuple[Call, type[OSError], int]] = {
    "read what is not there": (
        lambda fs, root: fs.read(f"{root}/none"),
        FileNotFoundError,
        errno.ENOENT,
    ),
    "read a directory": (lambda fs, root: fs.read(f"{root}/dir"), IsADirectoryError, errno.EISDIR),
    "through a file": (
        lambda fs, root: fs.stat(f"{root}/file/x"),
        NotADirectoryError,
        errno.ENOTDIR,
    ),
    "list a file": (lambda fs, root: fs.readdir(f"{root}/file"), NotADirectoryError, errno.ENOTDIR),
    "make what is there": (lambda fs, root: fs.mkdir(f"{root}/dir"), FileExistsError, errno.EEXIST),
    "write nowhere": (
        lambda fs, root: fs.write(f"{root}/none/file", b""),
        FileNotFoundError,
        errno.ENOENT,
    ),
    "create what is there": (
        lambda fs, root: fs.open(f"{root}/file", "x"),
        FileExistsError,
        errno.EEXIST,
    ),
    "a long name": (
        lambda fs, root: fs.write(f"{root}/{'n' * 256}", b""),
        OSError,
        errno.ENAMETOOLONG,
    ),
    "a circle": (lambda fs, root: fs.read(f"{root}/circle"), OSError, errno.ELOOP),
    "readlink of a file": (lambda fs, root: fs.readlink(f"{root}/file"), OSError, errno.EINVAL),
    "above the repos": (lambda fs, _: fs.write("/file", b""), OSError, errno.EROFS),
}


@pytest.mark.parametrize("case", CASES)
def test_errors(work: Mounted, case: str):
    fs, root = work.fs, work.root
    fs.mkdir(f"{root}/dir")
    fs.write(f"{root}/file", b"")
    fs.symlink("circle", f"{root}/circle")
    call, kind, number = CASES[case]
    with pytest.raises(OSError) as caught:
        call(fs, root)
    error = caught.value
    assert (type(error), error.errno) == (kind, number)
    assert isinstance(error.filename, str)
    assert error.filename.startswith("/")
    assert error.strerror
    assert error.filename in str(error)


def test_both_paths_of_a_rename(work: Mounted):
    with pytest.raises(FileNotFoundError) as caught:
        work.fs.mv(work.at("none"), work.at("other"))
    assert (caught.value.filename, caught.value.filename2) == (work.at("none"), work.at("other"))


def test_the_same_as_the_local_filesystem(work: Mounted, tmp_path: Path):
    """Class and number of what the system says of the same calls."""
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    work.fs.mkdir(work.at("dir"))
    work.fs.write(work.at("file"), b"")
    pairs: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (lambda: os.rmdir(tmp_path / "file"), lambda: work.fs.rmdir(work.at("file"))),
        (lambda: os.mkdir(tmp_path / "no/dir"), lambda: work.fs.mkdir(work.at("no/dir"))),
        (
            lambda: os.rename(tmp_path / "dir", tmp_path / "file"),
            lambda: work.fs.mv(work.at("dir"), work.at("file")),
        ),
        (
            lambda: os.rename(tmp_path / "dir", tmp_path / "dir/in"),
            lambda: work.fs.mv(work.at("dir"), work.at("dir/in")),
        ),
        (lambda: open(tmp_path / "dir", "wb"), lambda: work.fs.open(work.at("dir"), "wb")),
        (
            lambda: os.link(tmp_path / "dir", tmp_path / "hard"),
            lambda: work.fs.link(work.at("dir"), work.at("hard")),
        ),
        (lambda: os.readlink(tmp_path / "dir"), lambda: work.fs.readlink(work.at("dir"))),
    ]
    for local, mine in pairs:
        with pytest.raises(OSError) as wanted:
            local()
        with pytest.raises(OSError) as found:
            mine()
        assert (type(found.value), found.value.errno) == (type(wanted.value), wanted.value.errno)


def test_read_only(work: Mounted, server: Server):
    work.fs.write(work.at("file"), b"x")
    work.fs.flush()
    with again(server, work.repo, mode="ro") as reader:
        assert reader.fs.read(reader.at("file")) == b"x"
        for call in (
            lambda: reader.fs.write(reader.at("file"), b"y"),
            lambda: reader.fs.mkdir(reader.at("dir")),
            lambda: reader.fs.rm(reader.at("file")),
            lambda: reader.fs.open(reader.at("new"), "w"),
        ):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.EROFS


def test_after_the_end(work: Mounted):
    work.fs.close()
    work.fs.close()
    assert work.fs.closed
    with pytest.raises(OSError) as caught:
        work.fs.read(work.at("file"))
    assert caught.value.errno == errno.EBADF
