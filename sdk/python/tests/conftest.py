"""Servers for a whole run, and clients that record what they drove to a success."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mesa_sdk import AsyncMesa, Mesa, PrivateKey
from mounts import Mounted, mounted
from routes import normal
from support import FlakyProxy, Receiver, Server, flaky

#: (method, path below /v1) of every request that was answered with success.
SUCCEEDED: set[tuple[str, str]] = set()


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_caller() -> Generator[None, None, None]:
    import os

    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("MESA_") and name != "MESA_BIN":
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server, None, None]:
    found = Server(tmp_path_factory.mktemp("server"), "--webhooks-allow-private")
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server, None, None]:
    """Allows a key ten requests, then one a second."""
    args = ("--rate-burst", "10", "--rate-per-second", "1")
    found = Server(tmp_path_factory.mktemp("limited"), *args)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server, None, None]:
    """Reading the repo `damaged` is a failure of the server."""
    found = Server(tmp_path_factory.mktemp("damaged"))
    found.start()
    with Mesa(api_key=found.admin_key, api_url=found.url) as mesa:
        repo_id = mesa.repos.create(name="damaged").id
    found.stop()
    with sqlite3.connect(found.data / "meta.db") as database:
        statement = "UPDATE repos SET value = x'ff' WHERE instr(key, CAST(? AS BLOB)) > 0"
        assert database.execute(statement, (repo_id,)).rowcount > 0
    database.close()
    found.start()
    yield found
    found.stop()


def _remember(response: httpx.Response) -> None:
    if response.is_success:
        path = response.request.url.raw_path.decode().partition("?")[0]
        SUCCEEDED.add((response.request.method, path.removeprefix("/v1")))


def _client_options() -> dict[str, Any]:
    return {"trust_env": False, "event_hooks": {"response": [_remember]}}


def recorded(server: Server, **more: Any) -> Mesa:
    """A client whose successes count as driven. It is closed with its HTTP client."""
    if not {"api_key", "private_key", "access_token"} & set(more):
        more["api_key"] = server.admin_key
    client = httpx.Client(**_client_options())
    return Mesa(api_url=server.url, http_client=client, **more)


@pytest.fixture
def mesa(server: Server) -> Generator[Mesa, None, None]:
    with httpx.Client(**_client_options()) as client:
        yield Mesa(api_key=server.admin_key, api_url=server.url, http_client=client)


@pytest.fixture(scope="session")
def private_key(server: Server) -> PrivateKey:
    """A registered key that may do everything."""
    key = PrivateKey.generate("my-org")
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        mesa.signing_keys.create(public_key=key, name="tests", scopes=["admin"])
    return key


@pytest.fixture
def signing(server: Server, private_key: PrivateKey) -> Generator[Mesa, None, None]:
    """A client that signs every request with a private key."""
    with Mesa(private_key=private_key.text, api_url=server.url) as mesa:
        yield mesa


@pytest.fixture
def amesa(server: Server) -> AsyncMesa:
    """Open it with `async with`."""
    return AsyncMesa(api_key=server.admin_key, api_url=server.url)


@pytest.fixture
def work(server: Server) -> Generator[Mounted, None, None]:
    """A fresh repo, mounted in this process."""
    with mounted(server) as found:
        yield found


@pytest.fixture
def proxy(server: Server) -> Generator[FlakyProxy, None, None]:
    with flaky(server) as found:
        yield found


@pytest.fixture
def receiver() -> Generator[Receiver, None, None]:
    found = Receiver()
    yield found
    found.end()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def served(server: Server) -> set[str]:
    """The routes that the server describes."""
    document = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
    methods = ("get", "post", "patch", "put", "delete")
    return {
        normal(f"{method.upper()} {path}")
        for path, operations in document["paths"].items()
        for method in operations
        if method in methods
    }


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What looks at the whole run comes last, and only in a whole run."""
    last = [item for item in items if Path(item.path).name == "test_coverage.py"]
    others = [item for item in items if item not in last]
    is_whole = not config.option.keyword and config.args_source.name != "ARGS"
    items[:] = others + (last if is_whole else [])
