"""File objects behave as those of `open`: each case runs on a local file and on a mount's."""

import csv
import io
import json
import os
import pickle
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mounts import Mounted

Opener = Callable[..., Any]


@pytest.fixture
def pair(work: Mounted, tmp_path: Path) -> tuple[Opener, Opener]:
    def local(name: str, *args: Any, **options: Any) -> Any:
        options.setdefault("encoding", None if "b" in (args or [""])[0] else "utf-8")
        return open(tmp_path / name, *args, **options)

    def mine(name: str, *args: Any, **options: Any) -> Any:
        return work.fs.open(work.at(name), *args, **options)

    return local, mine


def modes(open_: Opener) -> list[object]:
    said: list[object] = []
    for mode in ("wb", "rb", "ab", "r+b", "w+b", "a+b", "w", "r", "a", "r+", "a+", "w+"):
        with open_("modes", mode) as file:
            said += [mode, file.readable(), file.writable(), file.seekable(), file.tell()]
            if file.writable():
                file.write(b"abc" if "b" in mode else "äbc")
                said.append(file.tell())
            if file.readable():
                file.seek(0)
                said.append(file.read())
            said.append(type(file).__name__)
        said.append(file.closed)
    return said


def positions(open_: Opener) -> list[object]:
    said: list[object] = []
    with open_("positions", "w+b", buffering=0) as file:
        said += [file.write(b"0123456789"), file.seek(-3, os.SEEK_END), file.read(), file.read(1)]
        said += [file.seek(20), file.write(b"x"), file.seek(8), file.read(20)]
        said += [file.truncate(5), file.tell(), file.seek(0), file.readall(), file.truncate(7)]
        said += [file.seek(0), file.readinto(target := bytearray(4)), bytes(target)]
    return said


def lines(open_: Opener) -> list[object]:
    with open_("lines", "w", newline="\r\n") as file:
        file.writelines(["eins\n", "zwei\n", "drei"])
    with open_("lines", "rb") as file:
        raw = file.read()
    with open_("lines") as file:
        text = list(file)
    with open_("lines", "rb") as file:
        return [raw, text, file.readline(), file.peek(2)[:2], file.read1(3), file.readlines()]


def appending(open_: Opener) -> list[object]:
    with open_("append", "wb") as file:
        file.write(b"begin")
    with open_("append", "ab+") as file, open_("append", "ab") as other:
        file.write(b"one")
        file.flush()
        other.write(b"two")
        other.flush()
        file.seek(0)
        said = [file.read()]
        file.seek(2)
        file.write(b"end")
        file.flush()
        file.seek(0)
        return [*said, file.read()]


def wrong(open_: Opener) -> list[object]:
    with open_("wrong", "wb") as file:
        file.write(b"x")
    said: list[object] = []
    reading, writing = open_("wrong", "rb", buffering=0), open_("wrong", "ab", buffering=0)
    cases: list[Callable[[], Any]] = [
        lambda: reading.write(b"x"),
        lambda: reading.truncate(0),
        lambda: writing.read(),
        lambda: writing.readinto(bytearray(1)),
        lambda: reading.seek(-1),
        lambda: reading.seek(0, 9),
        lambda: open_("wrong", "rw"),
        lambda: open_("wrong", "q"),
        lambda: open_("wrong", "rbt"),
        lambda: open_("wrong", "rb", encoding="utf-8"),
        lambda: open_("wrong", "r", buffering=0),
    ]
    for case in cases:
        try:
            case()
        except (OSError, ValueError) as error:
            said.append(type(error).__name__)
        else:
            said.append("nothing")
    reading.close()
    reading.close()
    writing.close()
    for call in (reading.read, reading.tell, reading.readable):
        try:
            call()
        except ValueError as error:
            said.append(type(error).__name__)
    return said


def libraries(open_: Opener) -> list[object]:
    with open_("j.json", "w") as file:
        json.dump({"ä": [1, None]}, file)
    with open_("c.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b,c"], ["1", "2"]])
    with open_("p", "wb") as file:
        pickle.dump({"x": b"y" * 100_000}, file)
    with open_("z.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("in/name", b"z" * 70_000)
    with open_("t.tar", "w+b") as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            tar.addfile(info := tarfile.TarInfo("x"), None)
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:
            names = tar.getnames()
        assert info.name in names
    said: list[object] = [names]
    with open_("j.json") as file:
        said.append(json.load(file))
    with open_("c.csv", newline="") as file:
        said.append(list(csv.reader(file)))
    with open_("p", "rb") as file:
        said.append(len(pickle.load(file)["x"]))
    with open_("z.zip", "rb") as file, zipfile.ZipFile(file) as archive:
        said.append(len(archive.read("in/name")))
    return said


@pytest.mark.parametrize("case", [modes, positions, lines, appending, wrong, libraries])
def test_as_local_files(case: Callable[[Opener], list[object]], pair: tuple[Opener, Opener]):
    local, mine = pair
    assert case(mine) == case(local)


def test_random_operations(pair: tuple[Opener, Opener]):
    """The same operations on both, one of which is known to be right."""
    choices = random.Random(4)
    local, mine = (open_("random", "w+b") for open_ in pair)
    with local, mine:
        for _ in range(400):
            kind = choices.randrange(5)
            size = choices.choice([0, 1, 17, 4096, 300_000])
            if kind == 0:
                data = choices.randbytes(size)
                answers = [file.write(data) for file in (local, mine)]
            elif kind == 1:
                answers = [file.read(size) for file in (local, mine)]
            elif kind == 2:
                answers = [file.seek(size) for file in (local, mine)]
            elif kind == 3:
                answers = [file.truncate(size) for file in (local, mine)]
            else:
                answers = [file.flush() for file in (local, mine)]
            assert answers[0] == answers[1]
            assert local.tell() == mine.tell()
        for file in (local, mine):
            file.seek(0)
        assert local.read() == mine.read()


def test_what_it_is(work: Mounted):
    with work.fs.open(work.at("f"), "wb", buffering=0) as file:
        assert isinstance(file, io.RawIOBase)
        assert file.name == work.at("f")
        assert file.mode == "wb"
        with pytest.raises(io.UnsupportedOperation):
            file.fileno()
        assert not file.isatty()
        file.write(b"synced")
        file.sync()
        assert file.stat().size == 6
        assert work.mesa.content.read(repo=work.repo, path="f") == b"synced"
    with work.fs.open(work.at("f"), "rb") as file:
        assert isinstance(file, io.BufferedReader)
    assert "closed" in repr(file) or file.closed


def test_a_file_that_nobody_closes(work: Mounted):
    file = work.fs.open(work.at("left"), "wb")
    file.write(b"left")
    del file
    assert work.fs.read(work.at("left")) == b"left"


def test_copying_a_large_file(work: Mounted, tmp_path: Path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        for number in range(64):
            file.write(bytes([number]) * 1_000_003)
    with large.open("rb") as source, work.fs.open(work.at("large"), "wb") as target:
        shutil.copyfileobj(source, target)
    assert work.fs.stat(work.at("large")).size == large.stat().st_size
    with work.fs.open(work.at("large"), "rb") as source:
        source.seek(63 * 1_000_003 - 1)
        assert source.read(3) == bytes([62, 63, 63])
    with work.fs.open(work.at("large"), "rb") as mine, large.open("rb") as local:
        while part := mine.read(1 << 20):
            assert part == local.read(len(part))
        assert local.read() == b""
