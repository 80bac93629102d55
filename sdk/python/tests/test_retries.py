"""What is sent again, how often, after how long, and that nothing is done twice."""

import random
import ssl
from datetime import datetime, timezone
from typing import Any

import anyio
import httpx
import pytest

from mesa_sdk import (
    AsyncMesa,
    ConflictError,
    ConnectionFailedError,
    InvalidOptionsError,
    Mesa,
    PrivateKey,
    RateLimitError,
    RetryPolicy,
    UnavailableError,
    ValidationError,
)
from mesa_sdk._call import Call, parsed
from mesa_sdk._retry import asked_seconds
from mesa_sdk._transport import _may_pass  # pyright: ignore[reportPrivateUsage]
from support import Fault, FlakyProxy, Server, unique

BUSY = b'{"error": {"code": "LOCK_CONFLICT", "message": "busy"}}'


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for; none of them is waited."""
    found: list[float] = []

    async def wait(seconds: float) -> None:
        found.append(seconds)

    # Only the transports' clocks: the tests' own servers wait as ever.
    monkeypatch.setattr("mesa_sdk._transport.time", type("", (), {"sleep": found.append}))
    monkeypatch.setattr("mesa_sdk._transport.anyio", type("", (), {"sleep": staticmethod(wait)}))
    return found


def client(server: Server, proxy: FlakyProxy, **more: object) -> Mesa:
    return Mesa(api_key=server.admin_key, api_url=proxy.url, **more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504, 0])
def test_what_may_pass_is_sent_again(
    status: int, server: Server, proxy: FlakyProxy, waits: list[float]
):
    proxy.faults = [Fault(status), Fault(status)]
    with client(server, proxy) as mesa:
        assert mesa.whoami().org.slug == "my-org"
    assert (len(proxy.seen), len(waits)) == (3, 2)


def test_so_is_a_write_that_met_another(server: Server, proxy: FlakyProxy, waits: list[float]):
    proxy.faults = [Fault(409, {}, BUSY)]
    with client(server, proxy, org="my-org") as mesa:
        mesa.repos.create()
    assert len(proxy.seen) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 500, 501, 507])
def test_what_will_not_pass_is_not(status: int, server: Server, proxy: FlakyProxy):
    proxy.faults = [Fault(status)]
    with client(server, proxy) as mesa, pytest.raises(Exception, match=str(status)):
        mesa.whoami()
    assert len(proxy.seen) == 1


def test_it_gives_up(server: Server, proxy: FlakyProxy, waits: list[float]):
    proxy.faults = [Fault(503)] * 10
    with client(server, proxy) as mesa, pytest.raises(UnavailableError):
        mesa.whoami()
    assert (len(proxy.seen), len(waits)) == (4, 3)
    assert waits[0] < waits[2]
    with client(server, proxy) as mesa, pytest.raises(UnavailableError):
        mesa.with_options(retries=0).whoami()
    assert len(proxy.seen) == 5
    with client(server, proxy, retries=0) as mesa, pytest.raises(UnavailableError):
        mesa.with_options(retries=RetryPolicy(max_retries=1)).whoami()
    assert len(proxy.seen) == 7


def test_retry_after_is_waited_for(server: Server, proxy: FlakyProxy, waits: list[float]):
    proxy.faults = [Fault(429, {"retry-after": "7"})]
    with client(server, proxy) as mesa:
        mesa.whoami()
    assert len(waits) == 1
    assert 7 <= waits[0] < 8


def test_a_long_one_is_raised(server: Server, proxy: FlakyProxy, waits: list[float]):
    proxy.faults = [Fault(429, {"retry-after": "3600"})]
    with client(server, proxy) as mesa, pytest.raises(RateLimitError) as caught:
        mesa.whoami()
    assert (len(proxy.seen), waits, caught.value.headers["retry-after"]) == (1, [], "3600")


@pytest.mark.parametrize("signs", [False, True])
def test_a_write_whose_answer_was_lost_is_done_once(
    signs: bool, server: Server, proxy: FlakyProxy, private_key: PrivateKey, waits: list[float]
):
    credential: dict[str, Any] = (
        {"private_key": private_key.text} if signs else {"api_key": server.admin_key}
    )
    name = unique("once")
    proxy.faults = [Fault(0, after=True), Fault(502, after=True)]
    with Mesa(api_url=proxy.url, org="my-org", **credential) as mesa:
        # Without the idempotency key the second sending would be refused: the name is in use.
        made = mesa.repos.create(name=name)
        assert mesa.repos.get(repo=name) == made
        proxy.faults = [Fault(0, after=True)]
        assert mesa.repos.update(repo=name, tags={"a": "b"}).tags == {"a": "b"}
        proxy.faults = [Fault(0, after=True)]
        assert mesa.repos.delete(repo=name).success
    sent = [(r["method"], r.get("idempotency-key"), r["authorization"]) for r in proxy.seen]
    posts = [one for one in sent if one[0] == "POST"]
    assert len(posts) == 3
    # The same key and the same token each time; another key for another call; none for reads.
    assert len(set(posts)) == 1
    assert len({key for _, key, _ in sent if key}) == 3
    assert [key for method, key, _ in sent if method == "GET"] == [None]


def test_a_key_of_another_request_is_refused(server: Server):
    headers = {"idempotency-key": unique("key")}
    with Mesa(api_key=server.admin_key, api_url=server.url) as mesa:
        name = unique("kept")
        send = mesa.repos.transport.send
        first = send(Call("POST", ("repos",), parsed, body={"name": name}, headers=headers))
        assert first == send(Call("POST", ("repos",), parsed, body={"name": name}, headers=headers))
        with pytest.raises(ConflictError) as caught:
            send(Call("POST", ("repos",), parsed, body={"name": "other"}, headers=headers))
        assert caught.value.code == "IDEMPOTENCY_MISMATCH"


def test_certificates_and_wrong_urls_do_not_pass():
    def caused(cause: Exception) -> httpx.ConnectError:
        error = httpx.ConnectError("no")
        error.__cause__ = cause
        return error

    assert not _may_pass(caused(ssl.SSLCertVerificationError()))
    assert not _may_pass(httpx.UnsupportedProtocol("no"))
    assert not _may_pass(httpx.TooManyRedirects("no"))
    assert _may_pass(caused(OSError()))
    assert _may_pass(httpx.ReadTimeout("late"))


def test_waits_grow_with_jitter_up_to_the_most():
    policy = RetryPolicy(max_retries=20, base_seconds=0.25, wait_seconds_max=8)
    for seed in range(50):
        chance = random.Random(seed).random
        for retry in range(20):
            most = min(8.0, 0.25 * 2**retry)
            wait = policy.wait(retry, None, chance)
            assert wait is not None
            assert most / 2 <= wait <= most
            asked = policy.wait(retry, 5.0, chance)
            assert asked is not None
            assert 5.0 <= asked <= 5.0 + most / 2
    assert policy.wait(20, None, random.random) is None
    assert policy.wait(0, 60.1, random.random) is None
    with pytest.raises(InvalidOptionsError):
        RetryPolicy(max_retries=-1)


def test_retry_after_is_seconds_or_a_date():
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    for text, seconds in {
        "0": 0.0,
        "120": 120.0,
        "Fri, 02 Jan 2026 03:04:15 GMT": 10.0,
        "Fri, 02 Jan 2026 03:04:15 -0000": 10.0,
        "Fri, 02 Jan 2026 03:00:00 GMT": 0.0,
        "": None,
        "soon": None,
        "-1": None,
        "²": None,
        "1.5": None,
    }.items():
        assert asked_seconds({"retry-after": text}, now) == seconds, text
    assert asked_seconds({}) is None


@pytest.mark.anyio
async def test_the_asynchronous_client_does_the_same(
    server: Server, proxy: FlakyProxy, waits: list[float]
):
    name = unique("async")
    proxy.faults = [Fault(0, after=True), Fault(503, {"retry-after": "2"})]
    async with AsyncMesa(api_key=server.admin_key, api_url=proxy.url, org="my-org") as mesa:
        assert (await mesa.repos.create(name=name)).name == name
        assert 2 <= waits[1] < 3
        proxy.faults = [Fault(0)] * 4
        with pytest.raises(ConnectionFailedError):
            await mesa.repos.get(repo=name)
        with pytest.raises(ConflictError):
            await mesa.repos.create(name=name)
        with pytest.raises(ValidationError):
            await mesa.with_options(retries=0).repos.create(name="a b")
    assert len(waits) == 5


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_stops_waiting(server: Server, proxy: FlakyProxy):
    proxy.faults = [Fault(503, {"retry-after": "50"})]
    async with AsyncMesa(api_key=server.admin_key, api_url=proxy.url) as mesa:
        with anyio.move_on_after(0.3) as scope:
            await mesa.whoami()
    assert scope.cancelled_caught
