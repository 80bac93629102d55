"""Content, names and attributes, blocking; and what the server has of them."""

import errno
import stat

import pytest

from mesa_sdk import FsStat
from mounts import Mounted


def test_read_write_append(work: Mounted):
    fs, path = work.fs, work.at("a.txt")
    fs.write(path, b"one\n")
    fs.append(path, b"two\n")
    assert fs.read(path) == b"one\ntwo\n"
    assert fs.read_range(path, 4, 2) == b"tw"
    assert fs.read_range(path, 6, 100) == b"o\n"
    assert fs.read_range(path, 100, 1) == b""
    fs.write(path, b"new")
    fs.append(work.at("made"), b"x")
    fs.truncate(path, 2)
    assert (fs.read(path), fs.read(work.at("made"))) == (b"ne", b"x")
    assert work.on_server("a.txt") == b"ne"
    fs.truncate(path, 4)
    assert fs.read(path) == b"ne\0\0"


def test_every_byte(work: Mounted):
    content = bytes(range(256)) * 5000
    work.fs.write(work.at("bytes"), content)
    work.fs.write(work.at("view"), memoryview(content)[1:])  # pyright: ignore[reportArgumentType]
    assert work.fs.read(work.at("bytes")) == content
    assert work.on_server("view") == content[1:]


def test_names(work: Mounted):
    fs = work.fs
    assert fs.readdir("/") == [fs.org]
    assert fs.readdir(f"/{fs.org}") == [work.repo]
    fs.mkdir(work.at("dir"))
    fs.mkdir(work.at("a/b/c"), recursive=True)
    fs.mkdir(work.at("a/b/c"), recursive=True)
    fs.write(work.at("dir/ünï ✓"), b"")
    fs.symlink("../a", work.at("dir/link"))
    assert sorted(fs.readdir(work.at("dir"))) == ["link", "ünï ✓"]
    kinds = {entry.name: entry for entry in fs.scandir(work.root)}
    assert kinds["a"].is_directory
    assert not kinds["a"].is_file
    found = {entry.name: entry.is_symbolic_link for entry in fs.scandir(work.at("dir"))}
    assert found == {"link": True, "ünï ✓": False}
    walked = [
        (at.removeprefix(work.root), dirs, sorted(files)) for at, dirs, files in fs.walk(work.root)
    ]
    assert walked == [
        ("", ["a", "dir"], []),
        ("/a", ["b"], []),
        ("/a/b", ["c"], []),
        ("/a/b/c", [], []),
        ("/dir", [], ["link", "ünï ✓"]),
    ]


def test_names_that_are_no_text(work: Mounted):
    name = b"\xff\xfe".decode("utf-8", "surrogateescape")
    work.fs.write(work.at(name), b"x")
    assert work.fs.readdir(work.root) == [name]
    assert work.fs.read(work.at(name)) == b"x"
    work.fs.rm(work.at(name))


def test_moving_copying_removing(work: Mounted):
    fs = work.fs
    fs.mkdir(work.at("d/e"), recursive=True)
    fs.write(work.at("d/e/f"), b"f")
    fs.cp(work.at("d/e/f"), work.at("g"))
    with pytest.raises(IsADirectoryError):
        fs.cp(work.at("d"), work.at("copy"))
    fs.cp(work.at("d"), work.at("copy"), recursive=True)
    fs.mv(work.at("d"), work.at("moved"))
    assert fs.read(work.at("copy/e/f")) == fs.read(work.at("moved/e/f")) == fs.read(work.at("g"))
    assert not fs.exists(work.at("d"))
    with pytest.raises(OSError, match="not empty") as caught:
        fs.rm(work.at("moved"))
    assert caught.value.errno == errno.ENOTEMPTY
    fs.rm(work.at("moved"), recursive=True)
    fs.rm(work.at("moved"), force=True)
    fs.rm(work.at("moved"), recursive=True, force=True)
    with pytest.raises(FileNotFoundError):
        fs.rm(work.at("moved"))
    fs.mkdir(work.at("empty"))
    fs.rm(work.at("empty"))
    fs.mkdir(work.at("empty"))
    fs.rmdir(work.at("empty"))
    assert sorted(fs.readdir(work.root)) == ["copy", "g"]


def test_links(work: Mounted):
    fs = work.fs
    fs.write(work.at("file"), b"x")
    fs.symlink("file", work.at("soft"))
    fs.link(work.at("file"), work.at("hard"))
    fs.symlink("nowhere", work.at("broken"))
    assert (fs.readlink(work.at("soft")), fs.realpath(work.at("soft"))) == ("file", work.at("file"))
    assert fs.lstat(work.at("soft")).is_symbolic_link
    assert fs.stat(work.at("soft")).is_file
    one, two = fs.stat(work.at("file")), fs.stat(work.at("hard"))
    assert (one.ino, one.nlink) == (two.ino, 2)
    assert not fs.exists(work.at("broken"))
    assert fs.lstat(work.at("broken")).is_symbolic_link
    fs.rm(work.at("broken"))
    assert fs.resolve_path("/a/b", "../c") == "/a/c"
    assert fs.resolve_path("/a", "/x/../..") == "/"


def test_attributes(work: Mounted):
    fs, path = work.fs, work.at("run.sh")
    fs.write(path, b"#!/bin/sh\n")
    assert stat.S_IMODE(fs.stat(path).mode) == 0o644
    fs.chmod(path, 0o755)
    fs.utimes(path, 1_000_000, 2_000_000.5)
    found = fs.stat(path)
    assert isinstance(found, FsStat)
    assert (found.mode, found.size) == (0o100755, 10)
    assert (found.mtime_ms, found.mtime_ns) == (2_000_000.5, 2_000_000_500_000)
    assert fs.stat(work.root).is_directory
    fs.flush()
    content = work.mesa.content.get(repo=work.repo, path="run.sh")
    assert content.type == "file"
    assert content.mode == "100755"


def test_metadata(work: Mounted):
    fs, path = work.fs, work.at("doc")
    fs.write(path, b"")
    fs.set_metadata(path, {"lang": "en", "tag": "ä"})
    fs.set_metadata(path, {"lang": None, "new": "x", "none": ""})
    mine = {"org": fs.org, "repo": work.repo}
    assert fs.get_metadata(path) == {"tag": "ä", "new": "x", **mine}
    fs.clear_metadata(path)
    fs.clear_metadata(path)
    assert fs.get_metadata(path) == mine
    with pytest.raises(OSError):
        fs.set_metadata(path, {"org": "other"})


def test_a_path_like_path(work: Mounted):
    from pathlib import PurePosixPath

    path = PurePosixPath(work.root) / "deep" / "file"
    work.fs.mkdir(path.parent)
    work.fs.write(path, b"p")
    assert work.fs.stat(path).size == 1
    with work.fs.open(path) as file:
        assert file.read() == "p"


def test_a_thousand_small_files(work: Mounted):
    fs = work.fs
    fs.mkdir(work.at("many"))
    for number in range(1000):
        fs.write(work.at(f"many/{number}"), str(number).encode())
    assert len(fs.readdir(work.at("many"))) == 1000
    assert work.on_server("many/999") == b"999"


def test_many_threads_at_once(work: Mounted):
    from concurrent.futures import ThreadPoolExecutor

    def one(number: int) -> bytes:
        path = work.at(f"thread-{number}")
        for turn in range(20):
            work.fs.append(path, bytes([65 + turn]))
        return work.fs.read(path)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(16))) == {bytes(range(65, 85))}
