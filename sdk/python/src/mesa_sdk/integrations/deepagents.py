"""A mount as a backend of LangChain's deepagents.

>>> with mesa.fs.mount(repos=["notes"]) as fs:                                   # doctest: +SKIP
...     agent = create_deep_agent(model, backend=MesaBackend(fs, "/my-org/notes"))

Needs the package `deepagents`.
"""

from __future__ import annotations

import base64
import fnmatch
import posixpath
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from deepagents.backends.protocol import (
    BackendProtocol,
    DeleteResult,
    EditResult,
    FileDownloadResponse,
    FileInfo,
    FileUploadResponse,
    GlobResult,
    GrepMatch,
    GrepResult,
    LsResult,
    ReadResult,
    WriteResult,
)

from mesa_sdk.fs import AsyncMesaFileSystem, MesaFileSystem

if TYPE_CHECKING:
    from mesa_sdk.fs import FsStat

#: Of files that are searched.
_SEARCHED_BYTES_MAX = 10 * 1024 * 1024
#: Names what `grep` and `glob` do not look into.
_HIDDEN = frozenset({".git"})


class MesaBackend(BackendProtocol):
    """Everything below `root`, which is `/` for the agent.

    Dots do not lead out of it; symlinks lead wherever they do in the mount. What the agent may do
    is what the mount may: mount read-only what it is only to read.
    """

    def __init__(self, fs: MesaFileSystem | AsyncMesaFileSystem, root: str = "/") -> None:
        self._fs = fs.blocking if isinstance(fs, AsyncMesaFileSystem) else fs
        self._root = "" if root == "/" else self._fs.resolve_path("/", root)

    def _at(self, path: str) -> str:
        return (self._root + self._fs.resolve_path("/", path)) if path != "/" else self._root or "/"

    def _shown(self, at: str) -> str:
        return at[len(self._root) :] or "/"

    def ls(self, path: str) -> LsResult:
        """What a directory holds."""
        at = self._at(path)
        try:
            entries = self._fs.scandir(at)
            found = [self._info(posixpath.join(at, entry.name)) for entry in entries]
        except OSError as error:
            return LsResult(error=_said(path, error))
        return LsResult(entries=sorted(found, key=lambda info: info["path"]))

    def _info(self, at: str) -> FileInfo:
        try:
            found = self._fs.stat(at)
        except FileNotFoundError:
            found = self._fs.lstat(at)
        return _info(self._shown(at), found)

    def read(self, file_path: str, offset: int = 0, limit: int = 2000) -> ReadResult:
        """Lines of a file; what is no text whole, in base64."""
        if limit <= 0:
            return ReadResult(
                file_data={"content": "", "encoding": "utf-8"}, no_lines_requested=True
            )
        try:
            at = self._at(file_path)
            content = self._fs.read(at)
            modified = _time(self._fs.stat(at))
        except OSError as error:
            return ReadResult(error=_said(file_path, error))
        try:
            text = content.decode()
        except UnicodeDecodeError:
            packed = base64.b64encode(content).decode()
            return ReadResult(
                file_data={"content": packed, "encoding": "base64", "modified_at": modified}
            )
        lines = text.splitlines(keepends=True)
        begin = max(0, offset)
        if begin >= len(lines) > 0:
            message = f"Line offset {offset} exceeds file length ({len(lines)} lines)"
            return ReadResult(error=message)
        wanted = lines[begin : begin + limit]
        end = begin + len(wanted)
        data = {"content": "".join(wanted), "encoding": "utf-8", "modified_at": modified}
        if not wanted:
            return ReadResult(file_data=data)  # pyright: ignore[reportArgumentType]
        return ReadResult(
            file_data=data,  # pyright: ignore[reportArgumentType]
            total_lines=len(lines),
            start_line=begin + 1,
            end_line=end,
            next_offset=end if end < len(lines) else None,
        )

    def write(self, file_path: str, content: str) -> WriteResult:
        """Writes a file; directories are made as they are needed."""
        try:
            self._put(self._at(file_path), content.encode())
        except OSError as error:
            return WriteResult(error=_said(file_path, error))
        return WriteResult(path=file_path)

    def _put(self, at: str, content: bytes) -> None:
        self._fs.mkdir(posixpath.dirname(at), recursive=True)
        self._fs.write(at, content)

    def edit(
        self, file_path: str, old_string: str, new_string: str, replace_all: bool = False
    ) -> EditResult:
        """Replaces a text that occurs once, or everywhere."""
        at = self._at(file_path)
        try:
            text = self._fs.read(at).decode()
            count = text.count(old_string) if old_string else 0
            if count == 0:
                return EditResult(error=f"String not found in {file_path}: {old_string!r}")
            if count > 1 and not replace_all:
                message = f"String occurs {count} times in {file_path}; say more, or replace_all"
                return EditResult(error=message)
            self._fs.write(at, text.replace(old_string, new_string).encode())
        except UnicodeDecodeError:
            return EditResult(error=f"{file_path} is no text")
        except OSError as error:
            return EditResult(error=_said(file_path, error))
        return EditResult(path=file_path, occurrences=count)

    def delete(self, file_path: str) -> DeleteResult:
        """Removes a file, or a directory with everything below it."""
        at = self._at(file_path)
        if posixpath.normpath(at) == (self._root or "/"):
            return DeleteResult(error="the root cannot be deleted")
        try:
            self._fs.rm(at, recursive=True)
        except OSError as error:
            return DeleteResult(error=_said(file_path, error))
        return DeleteResult(path=file_path)

    def glob(self, pattern: str, path: str | None = None) -> GlobResult:
        """Files whose path below `path` fits: `*`, `**`, `?`, `[...]`."""
        base = self._at(path or "/")
        fits = _Fits(pattern)
        try:
            found = [self._info(at) for at in self._files(base) if fits(_below(base, at))]
        except OSError as error:
            return GlobResult(error=_said(path or "/", error))
        return GlobResult(matches=sorted(found, key=lambda info: info["path"]))

    def grep(
        self,
        pattern: str,
        path: str | None = None,
        glob: str | None = None,
        *,
        max_count: int | None = None,
    ) -> GrepResult:
        """Lines that hold a text."""
        base = self._at(path or "/")
        fits = _Fits(glob) if glob else None
        matches: list[GrepMatch] = []
        try:
            for at in self._files(base):
                if fits is not None and not fits(_below(base, at)):
                    continue
                for found in self._lines(at, pattern):
                    if max_count is not None and len(matches) >= max_count:
                        return GrepResult(matches=matches, truncated=True)
                    matches.append(found)
        except OSError as error:
            return GrepResult(error=_said(path or "/", error))
        return GrepResult(matches=matches)

    def _files(self, base: str) -> Iterator[str]:
        if self._fs.stat(base).is_file:
            yield base
            return
        for at, dirs, files in self._fs.walk(base):
            # In place: what is taken out here is not walked.
            dirs[:] = sorted(set(dirs) - _HIDDEN)
            for name in sorted(files):
                whole = posixpath.join(at, name)
                try:
                    is_file = self._fs.stat(whole).is_file
                except FileNotFoundError:
                    continue  # A symlink to nothing, or removed meanwhile.
                if is_file:
                    yield whole

    def _lines(self, at: str, pattern: str) -> Iterator[GrepMatch]:
        try:
            if self._fs.stat(at).size > _SEARCHED_BYTES_MAX:
                return
            text = self._fs.read(at).decode()
        except (UnicodeDecodeError, FileNotFoundError):
            return
        if pattern not in text:
            return
        for number, line in enumerate(text.splitlines(), 1):
            if pattern in line:
                yield {"path": self._shown(at), "line": number, "text": line}

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        """Writes files, each by itself."""
        return [FileUploadResponse(path, self._uploaded(path, data)) for path, data in files]

    def _uploaded(self, path: str, data: bytes) -> str | None:
        try:
            self._put(self._at(path), data)
        except OSError as error:
            return _code(error)
        return None

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        """Reads files, each by itself."""
        return [self._downloaded(path) for path in paths]

    def _downloaded(self, path: str) -> FileDownloadResponse:
        try:
            return FileDownloadResponse(path, self._fs.read(self._at(path)))
        except OSError as error:
            return FileDownloadResponse(path, error=_code(error))


class _Fits:
    """Whether a path fits a pattern; one without a slash is for names at any depth."""

    def __init__(self, pattern: str) -> None:
        whole = pattern.lstrip("/")
        parts = [part for part in whole.split("/") if part]
        if len(parts) == 1 and parts[0] != "**":
            parts = ["**", *parts]
        self._parts = parts

    def __call__(self, path: str) -> bool:
        return _fits(self._parts, path.split("/"))


def _fits(pattern: list[str], path: list[str]) -> bool:
    # Which parts of the pattern are used up; each part of the path is looked at once.
    states = _past(pattern, {0})
    for name in path:
        following: set[int] = set()
        for state in states:
            if state == len(pattern):
                continue
            if pattern[state] == "**":
                following.add(state)
            elif fnmatch.fnmatchcase(name, pattern[state]):
                following.add(state + 1)
        states = _past(pattern, following)
    # `a/**` is what is below `a`.
    return len(pattern) in states


def _past(pattern: list[str], states: set[int]) -> set[int]:
    found = set(states)
    for state in sorted(states):
        at = state
        while at < len(pattern) and pattern[at] == "**":
            at += 1
            found.add(at)
    return found


def _below(base: str, at: str) -> str:
    return posixpath.basename(at) if at == base else at[len(base.rstrip("/")) + 1 :]


def _time(found: FsStat) -> str:
    return datetime.fromtimestamp(found.mtime_ns / 1e9, tz=timezone.utc).isoformat()


def _info(path: str, found: FsStat) -> FileInfo:
    return {
        "path": path + "/" if found.is_directory else path,
        "is_dir": found.is_directory,
        "size": 0 if found.is_directory else found.size,
        "modified_at": _time(found),
    }


def _said(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"File '{path}' not found"
    return f"{path}: {error.strerror or error}"


def _code(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "file_not_found"
    if isinstance(error, IsADirectoryError):
        return "is_directory"
    if isinstance(error, PermissionError):
        return "permission_denied"
    return str(error.strerror or error)
