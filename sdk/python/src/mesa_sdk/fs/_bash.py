"""A shell whose only files are a mount's, on the package `just-bash`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import anyio

from mesa_sdk.errors import MissingDependencyError
from mesa_sdk.fs._types import ExecResult, FsStat

if TYPE_CHECKING:
    from mesa_sdk.fs._async import AsyncMesaFileSystem

_PACKAGE = "just_bash"
_TIMEOUT_MS = 30_000
#: Of `timeout(1)`.
_TIMED_OUT = 124


class _Files:
    """A mount as the shell's `IFileSystem`."""

    def __init__(self, fs: AsyncMesaFileSystem, types: Any) -> None:
        self._fs = fs
        self._types = types

    async def read_file(self, path: str, encoding: str = "utf-8") -> str:
        # What is no text stays what it is on its way through pipes.
        return (await self._fs.read(path)).decode(encoding, "surrogateescape")

    async def read_file_bytes(self, path: str) -> bytes:
        return await self._fs.read(path)

    async def write_file(self, path: str, content: str | bytes, encoding: str = "utf-8") -> None:
        await self._fs.write(path, _bytes(content, encoding))

    async def append_file(self, path: str, content: str | bytes, encoding: str = "utf-8") -> None:
        await self._fs.append(path, _bytes(content, encoding))

    async def exists(self, path: str) -> bool:
        return await self._fs.exists(path)

    async def is_file(self, path: str) -> bool:
        found = await self._found(path)
        return found is not None and found.is_file

    async def is_directory(self, path: str) -> bool:
        found = await self._found(path)
        return found is not None and found.is_directory

    async def is_symlink(self, path: str) -> bool:
        try:
            return (await self._fs.lstat(path)).is_symbolic_link
        except (FileNotFoundError, NotADirectoryError):
            return False

    async def _found(self, path: str) -> FsStat | None:
        try:
            return await self._fs.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    async def stat(self, path: str) -> Any:
        return self._shown(await self._fs.stat(path))

    async def lstat(self, path: str) -> Any:
        return self._shown(await self._fs.lstat(path))

    def _shown(self, found: FsStat) -> Any:
        return self._types.FsStat(
            is_file=found.is_file,
            is_directory=found.is_directory,
            is_symbolic_link=found.is_symbolic_link,
            mode=found.mode & 0o7777,
            size=found.size,
            mtime=found.mtime_ns / 1e9,
            nlink=found.nlink,
        )

    async def mkdir(self, path: str, recursive: bool = False) -> None:
        await self._fs.mkdir(path, recursive=recursive)

    async def readdir(self, path: str) -> list[str]:
        return await self._fs.readdir(path)

    async def rm(self, path: str, recursive: bool = False, force: bool = False) -> None:
        await self._fs.rm(path, recursive=recursive, force=force)

    async def cp(self, src: str, dest: str, recursive: bool = False) -> None:
        await self._fs.cp(src, dest, recursive=recursive)

    async def mv(self, src: str, dest: str) -> None:
        await self._fs.mv(src, dest)

    async def chmod(self, path: str, mode: int) -> None:
        await self._fs.chmod(path, mode)

    async def symlink(self, target: str, link_path: str) -> None:
        await self._fs.symlink(target, link_path)

    async def link(self, existing: str, new: str) -> None:
        await self._fs.link(existing, new)

    async def readlink(self, path: str) -> str:
        return await self._fs.readlink(path)

    async def realpath(self, path: str) -> str:
        return await self._fs.realpath(path)

    async def utimes(self, path: str, atime: float, mtime: float) -> None:
        await self._fs.utimes(path, atime * 1000, mtime * 1000)

    def resolve_path(self, base: str, path: str) -> str:
        return self._fs.resolve_path(base, path)


class Bash:
    """A shell that keeps its variables and its directory from one `exec` to the next."""

    def __init__(
        self,
        fs: AsyncMesaFileSystem,
        env: Mapping[str, str] | None,
        cwd: str | None,
        timeout_ms: int | None,
    ) -> None:
        package, types = _package(), importlib.import_module(f"{_PACKAGE}.types")
        self._seconds = (_TIMEOUT_MS if timeout_ms is None else timeout_ms) / 1000
        at = fs.resolve_path("/", cwd or "/")
        self._bash: Any = package.Bash(fs=_Files(fs, types), cwd=at, env=dict(env or {}))

    async def exec(self, commands: str) -> ExecResult:
        """Runs shell statements. Their failure is an exit code; one that takes too long is 124."""
        done: Any = None
        with anyio.move_on_after(self._seconds):
            done = await self._bash.exec(commands)
        if done is None:
            said = f"timed out after {self._seconds:g} s\n".encode()
            return ExecResult(b"", said, _TIMED_OUT)
        return ExecResult(_bytes(done.stdout), _bytes(done.stderr), int(done.exit_code))

    def run(self, commands: str) -> ExecResult:
        """The same for programs that block."""
        return anyio.run(self.exec, commands)


def _package() -> Any:
    try:
        return importlib.import_module(_PACKAGE)
    except ImportError as error:
        raise MissingDependencyError("just-bash", "bash") from error


def _bytes(text: str | bytes, encoding: str = "utf-8") -> bytes:
    return text if isinstance(text, bytes) else text.encode(encoding, "surrogateescape")
