"""Mounts of fresh repos."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from mesa_sdk import Mesa, MesaFileSystem
from support import ORG, Server, unique


@dataclass
class Mounted:
    """A repo, mounted."""

    fs: MesaFileSystem
    repo: str
    mesa: Mesa

    @property
    def root(self) -> str:
        return self.fs.roots[self.repo]

    def at(self, path: str) -> str:
        return f"{self.root}/{path}"

    def on_server(self, path: str, bookmark: str = "main") -> bytes:
        """What the server has, after everything was sent."""
        self.fs.flush()
        return self.mesa.content.read(repo=self.repo, path=path, change_id=bookmark)


@contextlib.contextmanager
def mounted(server: Server, **options: Any) -> Generator[Mounted, None, None]:
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        name = unique("mounted")
        mesa.repos.create(name=name)
        with mesa.fs.mount(repos=[name], **options) as fs:
            yield Mounted(fs, name, mesa)


def again(server: Server, repo: str, **options: Any) -> Any:
    """Another mount of a repo, as a context manager."""

    @contextlib.contextmanager
    def entered() -> Generator[Mounted, None, None]:
        with (
            Mesa(api_key=server.admin_key, api_url=server.url) as mesa,
            mesa.fs.mount(repos=[repo], **options) as fs,
        ):
            yield Mounted(fs, repo, mesa)

    return entered()


def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, holds
        time.sleep(0.02)


__all__ = ["ORG", "Mounted", "again", "eventually", "mounted"]
