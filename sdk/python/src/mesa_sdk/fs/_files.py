"""File objects, as `io.open` makes them of local files."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from mesa_sdk.fs._types import FsStat

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    from mesa_sdk._native import File, FileSystem

#: How much buffered files read and write at a time.
BUFFER_BYTES = 262_144

TextMode = Literal["r", "r+", "w", "w+", "a", "a+", "x", "x+", "rt", "wt", "at", "xt"]
BinaryMode = Literal["rb", "rb+", "r+b", "wb", "wb+", "w+b", "ab", "ab+", "a+b", "xb", "xb+", "x+b"]


class MesaFile(io.RawIOBase):
    """An open file of a mount, unbuffered. There is no descriptor: `fileno` is not supported."""

    def __init__(self, fs: FileSystem, path: str, mode: str, shown: str | None = None) -> None:
        super().__init__()
        words = "".join(sorted(set(mode) - {"b"}, key="rwax+".index))
        if len(mode) != len(set(mode)) or len(set(words) & set("rwax")) != 1:
            raise ValueError(f"invalid mode: {mode!r}")
        self.name = shown or path
        self.mode = mode
        self._reads = bool(set(words) & set("r+"))
        self._writes = bool(set(words) & set("wax+"))
        self._appends = "a" in words
        self._position = 0
        self._file: File | None = fs.open(path, words)
        if self._appends:
            self._position = self._open().stat()[1]

    def _open(self) -> File:
        if self._file is None:
            raise ValueError("I/O operation on closed file")
        return self._file

    def readable(self) -> bool:
        """Whether it was opened for reading."""
        self._open()
        return self._reads

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        self._open()
        return self._writes

    def seekable(self) -> bool:
        """It is."""
        self._open()
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Reads at most as much as the buffer holds; 0 at the end."""
        if not self.readable():
            raise io.UnsupportedOperation("not readable")
        view = memoryview(buffer).cast("B")
        data = self._open().read_at(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        """The rest."""
        if not self.readable():
            raise io.UnsupportedOperation("not readable")
        file = self._open()
        parts: list[bytes] = []
        while part := file.read_at(self._position, max(BUFFER_BYTES, self._rest(file))):
            parts.append(part)
            self._position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _rest(self, file: File) -> int:
        return max(0, file.stat()[1] - self._position)

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes all of it."""
        if not self.writable():
            raise io.UnsupportedOperation("not writable")
        content = data if isinstance(data, bytes) else bytes(memoryview(data).cast("B"))
        file = self._open()
        file.write_at(self._position, content)
        self._position = file.stat()[1] if self._appends else self._position + len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Goes to a position."""
        file = self._open()
        if whence == os.SEEK_SET:
            position = offset
        elif whence == os.SEEK_CUR:
            position = self._position + offset
        elif whence == os.SEEK_END:
            position = file.stat()[1] + offset
        else:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.name)
        if position < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.name)
        self._position = position
        return position

    def tell(self) -> int:
        """The position."""
        self._open()
        return self._position

    def truncate(self, size: int | None = None, /) -> int:
        """Cuts it off at `size`, or at the position."""
        if not self.writable():
            raise io.UnsupportedOperation("not writable")
        wanted = self._position if size is None else size
        self._open().truncate(wanted)
        return wanted

    def stat(self) -> FsStat:
        """Its attributes."""
        return FsStat._make(self._open().stat())

    def sync(self) -> None:
        """Returns when everything written to it is on the server. Flush buffers before."""
        self._open().sync()

    def close(self) -> None:
        """Closes it; mounts of class `close` wait for the server here."""
        if self.closed:
            return
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        finally:
            super().close()

    def __repr__(self) -> str:
        return f"<MesaFile name={self.name!r} mode={self.mode!r}>"


@overload
def opened(
    fs: FileSystem,
    path: str,
    mode: TextMode,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    shown: str | None = None,
) -> io.TextIOWrapper: ...
@overload
def opened(
    fs: FileSystem,
    path: str,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    shown: str | None = None,
) -> Any: ...
def opened(
    fs: FileSystem,
    path: str,
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    shown: str | None = None,
) -> Any:
    """What `io.open` answers for the same arguments."""
    is_binary = "b" in mode
    if is_binary and "t" in mode:
        raise ValueError("can't have text and binary mode at once")
    if is_binary and (encoding, errors, newline) != (None, None, None):
        raise ValueError("binary mode takes neither encoding, errors nor newline")
    if buffering == 0 and not is_binary:
        raise ValueError("can't have unbuffered text I/O")
    raw = MesaFile(fs, path, mode.replace("t", ""), shown)
    try:
        if buffering == 0:
            return raw
        size = BUFFER_BYTES if buffering in (-1, 1) else buffering
        buffered = _buffered(raw, size)
        if is_binary:
            return buffered
        # UTF-8 unless told otherwise: what is written here is read on other machines.
        text = io.TextIOWrapper(
            buffered, encoding or "utf-8", errors, newline, line_buffering=buffering == 1
        )
    except BaseException:
        raw.close()
        raise
    cast("Any", text).mode = mode
    return text


def _buffered(raw: MesaFile, size: int) -> Any:
    if raw.readable() and raw.writable():
        return io.BufferedRandom(raw, size)
    if raw.writable():
        return io.BufferedWriter(raw, size)
    return io.BufferedReader(raw, size)
