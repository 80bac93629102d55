"""What the tests share: the server under test and a client of the installed generation.

Generation 0.38 signs in with an API key, 0.49 with a private key that signs every request.
"""

from __future__ import annotations

import base64
import inspect
import itertools
import os
import unittest

from mesa_rest.client import AuthenticatedClient
from mesa_sdk import FileUpsert, Mesa
from mesa_sdk._version import __version__ as VERSION

ORIGIN = os.environ["MESA_TEST_URL"]
ADMIN_KEY = os.environ["MESA_TEST_KEY"]
ORG = "my-org"
ROOT = "z" * 32
KEYS = VERSION.startswith("0.38.")

_serial = itertools.count()

#: Methods of the SDK that were driven to a success, as `resource.method`.
DRIVEN: set[str] = set()


def unique(stem: str) -> str:
    return f"{stem}-{os.getpid()}-{next(_serial)}"


def encoded(content: str) -> str:
    return base64.b64encode(content.encode()).decode()


class _Recorded:
    """A resource whose successful calls are recorded."""

    def __init__(self, name: str, resource: object) -> None:
        self._name, self._resource = name, resource

    def __getattr__(self, method: str):
        call = getattr(self._resource, method)
        if not callable(call):
            return call

        async def recorded(*args, **kwargs):
            answer = await call(*args, **kwargs)
            DRIVEN.add(f"{self._name}.{method}")
            return answer

        return recorded


#: The SDK's resources; `Mesa` has nothing else that asks the server but `whoami`.
RESOURCES = ["org", "repos", "content", "bookmarks", "changes", "diffs", "webhook_targets"]
if KEYS:
    RESOURCES += ["tokens", "api_keys"]


def methods():
    """Every method of every resource of the SDK: its name and its signature."""
    mesa = open_mesa()
    for name in RESOURCES:
        for method, call in inspect.getmembers(getattr(mesa, name)._resource, inspect.ismethod):
            if not method.startswith("_"):
                yield f"{name}.{method}", inspect.signature(call)


def open_mesa(*, origin: str = ORIGIN, key: str | None = None, **more) -> Mesa:
    """An SDK client; `key` is an API key in 0.38 and a private key in 0.49."""
    if KEYS:
        mesa = Mesa(api_key=key or ADMIN_KEY, api_url=f"{origin}/v1", vcs_url=origin, **more)
    else:
        mesa = Mesa(private_key=key or os.environ["MESA_TEST_PRIVATE_KEY"], api_url=f"{origin}/v1", **more)
    for name in RESOURCES:
        setattr(mesa, name, _Recorded(name, getattr(mesa, name)))
    return mesa


def rest(key: str = ADMIN_KEY, origin: str = ORIGIN) -> AuthenticatedClient:
    """A client of `mesa_rest` with an API key."""
    return AuthenticatedClient(base_url=f"{origin}/v1", token=key)


def author() -> dict:
    """The keyword arguments that name an author."""
    if KEYS:
        from mesa_sdk import Author

        return {"author": Author(name="Ada Lovelace", email="ada@example.com")}
    return {"authors": [{"name": "Ada Lovelace", "email": "ada@example.com"}, {"name": "Agent"}]}


def merger() -> dict:
    """The keyword arguments that name the author of a merge."""
    return {} if KEYS else author()


def text(content: str) -> str:
    return base64.b64decode(content).decode()


class MesaCase(unittest.IsolatedAsyncioTestCase):
    """A test with a client."""

    async def asyncSetUp(self) -> None:
        self.mesa = open_mesa()

    async def asyncTearDown(self) -> None:
        await self.mesa.__aexit__(None, None, None)

    async def repo(self, stem: str, **files: str):
        """A repo's name, and the change at its default bookmark that holds these files."""
        name = (await self.mesa.repos.create(name=unique(stem))).name
        first = await self.change(name, ROOT, "first", **files)
        await self.mesa.bookmarks.move(repo=name, bookmark="main", change_id=first.id)
        return name, first

    async def change(self, repo: str, base: str, message: str, **files: str):
        """A new change with these files."""
        ops = [FileUpsert(path=path, content=encoded(content)) for path, content in files.items()]
        return await self.mesa.changes.create(repo=repo, base_change_id=base, message=message, files=ops, **author())

    async def refused(self, awaitable, error: type, code: str):
        """The refusal of a call, whose class and code must be these."""
        with self.assertRaises(error) as caught:
            await awaitable
        self.assertIs(type(caught.exception), error)
        self.assertEqual(caught.exception.body.error.code, code)
        self.assertEqual(str(caught.exception), caught.exception.body.error.message)
        return caught.exception
