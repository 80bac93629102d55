"""Arguments, environment, defaults."""

import asyncio
import subprocess
from pathlib import Path

import httpx
import pytest

from mesa_sdk import (
    AsyncMesa,
    ConnectionFailedError,
    InvalidApiUrlError,
    InvalidOptionsError,
    Mesa,
    MissingCredentialError,
    OrgResolutionError,
    PrivateKey,
    __version__,
)
from mesa_sdk._settings import base_url, client_options
from support import ORG, FlakyProxy, Server


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://127.0.0.1:7117", "http://127.0.0.1:7117/v1"),
        ("http://127.0.0.1:7117/v1", "http://127.0.0.1:7117/v1"),
        ("https://mesa.example/v1/", "https://mesa.example/v1"),
        (" https://host.example/mesa/ ", "https://host.example/mesa/v1"),
        ("http://[::1]:1", "http://[::1]:1/v1"),
    ],
)
def test_urls(given: str, base: str):
    assert base_url(given) == base


@pytest.mark.parametrize(
    "given", ["", "x", "ftp://x", "http://", "http://x?y", "//x", "http://x#y"]
)
def test_no_urls(given: str):
    with pytest.raises(InvalidApiUrlError):
        base_url(given)


def test_a_url_holds_no_credential():
    with pytest.raises(InvalidOptionsError) as caught:
        base_url("http://me:s3cret@host")
    assert "s3cret" not in str(caught.value)


def test_environment(monkeypatch: pytest.MonkeyPatch, server: Server, private_key: PrivateKey):
    with pytest.raises(MissingCredentialError, match="MESA_API_KEY"):
        Mesa()
    monkeypatch.setenv("MESA_API_URL", server.url)
    monkeypatch.setenv("MESA_PRIVATE_KEY", private_key.text)
    with Mesa() as mesa:
        assert mesa.api_url == f"{server.url}/v1"
        assert mesa.whoami().key_name == "tests"
    monkeypatch.setenv("MESA_API_KEY", server.admin_key + "\n")
    with Mesa() as mesa:
        assert mesa.whoami().key_name == "admin"
        token = mesa.tokens.create(scopes=["read"]).token
    monkeypatch.setenv("MESA_ACCESS_TOKEN", token)
    with Mesa() as mesa:
        assert mesa.whoami().scopes == ["read"]
    with Mesa(private_key=private_key.text) as mesa:
        assert mesa.whoami().key_name == "tests"
    monkeypatch.setenv("MESA_ORG", "another")
    with Mesa() as mesa:
        assert mesa.org.slug == "another"
    with Mesa(org=ORG) as mesa:
        assert mesa.org.slug == ORG


def test_credentials_that_cannot_be():
    with pytest.raises(InvalidOptionsError):
        Mesa(api_key="a", private_key="b")
    with pytest.raises(MissingCredentialError):
        Mesa(api_key=" ")
    for odd in ("ü", "a b", "a\nb", "a\x00"):
        with pytest.raises(InvalidOptionsError) as caught:
            Mesa(api_key=odd)
        assert odd not in str(caught.value)
    with pytest.raises(InvalidOptionsError):
        Mesa(private_key="mesa_private_key_nothing")


def test_the_constructors_of_both_generations(server: Server, private_key: PrivateKey):
    with Mesa(
        api_key=server.admin_key,
        api_url=f"{server.url}/v1",
        vcs_url=server.url,
        org=ORG,
        user_agent="app",
        webhook_secret="whsec_x",
    ) as older:
        assert older.repos.list(org=ORG, limit=1).repos
    with Mesa(
        private_key=private_key.text,
        api_url=f"{server.url}/v1",
        user_agent="app",
        webhook_secret="whsec_x",
    ) as newer:
        assert newer.repos.list(limit=1).repos
    with pytest.raises(InvalidApiUrlError):
        Mesa(api_key="x", vcs_url="x")


def test_no_secret_is_shown(server: Server):
    with Mesa(api_key="mesa_s3cret", api_url=server.url) as mesa:
        shown = f"{mesa!r} {mesa.repos.transport.settings!r} {mesa._options!r}"  # pyright: ignore
        assert "s3cret" not in shown


def test_headers(server: Server, proxy: FlakyProxy):
    with Mesa(api_key=server.admin_key, api_url=proxy.url, user_agent="app/1") as mesa:
        mesa.repos.list()
        mesa.repos.create()
    whoami, listed, made = proxy.seen
    assert [r["path"] for r in proxy.seen] == ["/v1/whoami", "/v1/my-org/repos", "/v1/my-org/repos"]
    for seen in proxy.seen:
        assert seen["user-agent"] == f"mesa-sdk-python/{__version__} app/1"
        assert seen["accept"] == "application/json"
    assert "content-type" not in whoami
    assert "content-type" not in listed
    assert made["content-type"] == "application/json"


def test_no_proxy_to_this_machine(monkeypatch: pytest.MonkeyPatch, server: Server):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        assert mesa.whoami().org.slug == ORG
    assert "mounts" in client_options("http://[::1]:1/v1", {})
    assert "mounts" in client_options("http://localhost/v1", {})
    assert "mounts" not in client_options("https://mesa.example/v1", {})


def test_a_private_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InvalidOptionsError, match="MESA_CA_FILE"):
        client_options("https://x/v1", {"MESA_CA_FILE": str(tmp_path / "none")})
    make = "openssl req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=127.0.0.1 -addext"
    given = [*make.split(), "subjectAltName=IP:127.0.0.1", "-keyout", "key", "-out", "cert"]
    subprocess.run(given, cwd=tmp_path, check=True, capture_output=True)
    args = ("--tls-cert", str(tmp_path / "cert"), "--tls-key", str(tmp_path / "key"))
    server = Server(tmp_path, *args)
    server.start()
    try:
        untrusted = pytest.raises(ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED")
        with Mesa(api_key="x", api_url=server.url) as stranger, untrusted:
            stranger.whoami()
        monkeypatch.setenv("MESA_CA_FILE", str(tmp_path / "cert"))
        with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
            assert mesa.whoami().org.slug == ORG
    finally:
        server.stop()


def test_a_client_of_ones_own_stays_open(server: Server):
    with httpx.Client(trust_env=False) as client:
        for _ in range(2):
            with Mesa(api_key=server.admin_key, api_url=server.url, http_client=client) as mesa:
                mesa.whoami()
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        with mesa.with_options(timeout=5) as other:
            other.whoami()
        mesa.whoami()
    with pytest.raises(RuntimeError):
        mesa.whoami()


def test_programs_that_await_a_mesa(server: Server):
    async def program() -> str:
        async with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
            assert isinstance(mesa, AsyncMesa)
            with pytest.raises(OrgResolutionError):
                mesa.org.slug  # noqa: B018
            assert await mesa.resolve_org() == mesa.org.slug
            repo = await mesa.repos.create()
            return (await mesa.repos.get(repo=repo.name)).org

    assert asyncio.run(program()) == ORG


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_both_event_loops(backend: str, server: Server):
    import anyio

    async def program() -> None:
        async with AsyncMesa(api_key=server.admin_key, api_url=server.url) as mesa:
            names = [(await mesa.repos.create()).name for _ in range(3)]
            seen = [repo.name async for repo in mesa.repos.iterate(limit=2)]
            assert set(names) <= set(seen)
            pages = [page async for page in mesa.repos.iterate(limit=2).pages()]
            assert sum(len(page.items) for page in pages) == len(seen)
            again = mesa.with_options(retries=0, timeout=httpx.Timeout(5))
            assert (await again.whoami()).org.slug == ORG
            assert "127.0.0.1" in repr(mesa)
            assert mesa.api_url == f"{server.url}/v1"

    anyio.run(program, backend=backend)


def test_many_threads(server: Server):
    from concurrent.futures import ThreadPoolExecutor

    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa, ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: mesa.repos.create().id, range(24)))
    assert len(set(made)) == 24
