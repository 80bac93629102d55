"""Every class of refusal: from a real server where it can be brought to it, else from a proxy."""

import copy
import json
import pickle

import httpx
import pytest

from mesa_sdk import (
    ApiError,
    AuthenticationError,
    AuthorizationError,
    ConflictError,
    ConnectionFailedError,
    MalformedResponseError,
    Mesa,
    MesaError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotFoundError,
    PayloadTooLargeError,
    RangeNotSatisfiableError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StorageFullError,
    TimedOutError,
    UnavailableError,
    UnsupportedMediaTypeError,
    UriTooLongError,
    ValidationError,
    errors,
)
from mesa_sdk._call import Call, parsed
from support import Fault, FlakyProxy, Server, free_port, unique


def raw(mesa: Mesa, method: str, *path: str, **more: object) -> ApiError:
    """The refusal of a request that no method makes."""
    call = Call(method, path, parsed, **more)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ApiError) as caught:
        mesa.repos.transport.send(call)
    return caught.value


def told(error: ApiError, kind: type[ApiError], status: int, code: str) -> None:
    assert type(error) is kind
    assert (error.status_code, error.code) == (status, code)
    assert isinstance(error.body, errors.ErrorEnvelope)
    assert error.body.error.code == code
    assert str(error) == error.message == error.body.error.message != ""
    assert error.trace_id == error.headers["x-request-id"]
    assert code in repr(error)


def test_400(mesa: Mesa):
    with pytest.raises(ValidationError) as caught:
        mesa.repos.create(name="a b")
    told(caught.value, ValidationError, 400, "INVALID_REPO_NAME")
    with pytest.raises(ValidationError):
        mesa.repos.list(limit=101)


def test_401(server: Server):
    with Mesa(api_key="mesa_" + "x" * 44, api_url=server.url) as stranger:
        with pytest.raises(AuthenticationError) as caught:
            stranger.repos.list()
        told(caught.value, AuthenticationError, 401, "CREDENTIAL_UNKNOWN")
        assert "www-authenticate" in caught.value.headers


def test_403(mesa: Mesa, server: Server):
    key = mesa.api_keys.create(scopes=["read"]).key
    with Mesa(api_key=key, api_url=server.url) as reader:
        with pytest.raises(AuthorizationError) as caught:
            reader.repos.create()
        told(caught.value, AuthorizationError, 403, caught.value.code)


def test_404(mesa: Mesa):
    with pytest.raises(NotFoundError) as caught:
        mesa.repos.get(repo=unique("none"))
    told(caught.value, NotFoundError, 404, "REPO_NOT_FOUND")
    assert type(raw(mesa, "GET", "no", "such", "route", "at", "all")) is NotFoundError


def test_405(mesa: Mesa):
    error = raw(mesa, "DELETE", "repos")
    told(error, MethodNotAllowedError, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in error.headers["allow"]


def test_406(mesa: Mesa):
    repo = mesa.repos.create().name
    with pytest.raises(ValidationError) as caught:
        mesa.content.read(repo=repo, path="")
    told(caught.value, NotAcceptableError, 406, caught.value.code)


def test_what_cannot_be_sent(mesa: Mesa):
    for wrong in ("\ud800", "x" * 100_000, ""):
        with pytest.raises(errors.InvalidOptionsError):
            mesa.repos.get(repo=wrong)
        with pytest.raises(errors.InvalidOptionsError):
            mesa.repos.list(cursor=wrong or "\udfff")


def test_409(mesa: Mesa):
    name = mesa.repos.create().name
    with pytest.raises(ConflictError) as caught:
        mesa.repos.create(name=name)
    told(caught.value, ConflictError, 409, "REPO_EXISTS")


def test_413(mesa: Mesa):
    error = raw(mesa, "POST", "repos", body={"name": "x" * (2 << 20)})
    told(error, PayloadTooLargeError, 413, "PAYLOAD_TOO_LARGE")


def test_414(mesa: Mesa):
    error = raw(mesa, "GET", "x" * 40_000, query={"cursor": "x" * 40_000})
    assert (type(error), error.status_code) == (UriTooLongError, 414)


def test_415(mesa: Mesa):
    error = raw(mesa, "POST", "repos", headers={"content-type": "text/csv"}, body={})
    told(error, UnsupportedMediaTypeError, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_429(limited: Server):
    with Mesa(api_key=limited.admin_key, api_url=limited.url, retries=0) as busy:
        with pytest.raises(RateLimitError) as caught:
            for _ in range(50):
                busy.org.get()
        told(caught.value, RateLimitError, 429, "RATE_LIMITED")
        assert int(caught.value.headers["retry-after"]) >= 1


def test_500_is_not_sent_again(damaged: Server):
    seen: list[httpx.Request] = []
    client = httpx.Client(trust_env=False, event_hooks={"request": [seen.append]})
    with client, pytest.raises(ServerError) as caught:
        Mesa(api_key=damaged.admin_key, api_url=damaged.url, http_client=client).repos.get(
            repo="damaged", org="my-org"
        )
    told(caught.value, ServerError, 500, "STORED_DATA_DAMAGED")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, RequestTimeoutError),
        (416, RangeNotSatisfiableError),
        (418, ApiError),
        (302, ApiError),
        (501, ServerError),
        (502, UnavailableError),
        (503, UnavailableError),
        (504, UnavailableError),
        (507, StorageFullError),
    ],
)
def test_of_a_proxy(status: int, kind: type[ApiError], proxy: FlakyProxy):
    envelope = {
        "error": {"code": "SOME_CODE", "message": "why", "details": {"a": 1}, "trace_id": "t"},
        "trace_id": "t",
    }
    bodies: list[tuple[bytes, str, object]] = [
        (json.dumps(envelope).encode(), "SOME_CODE", {"a": 1}),
        (b"<html>busy</html>", f"API_ERROR_{status}", {}),
        (b'{"error": "flat"}', f"API_ERROR_{status}", {}),
        (b'{"error": {"code": "NO_MESSAGE"}}', f"API_ERROR_{status}", {}),
        (b"[1]", f"API_ERROR_{status}", {}),
        (b"", f"API_ERROR_{status}", {}),
        (b"\xff\xfe", f"API_ERROR_{status}", {}),
    ]
    with Mesa(api_key="mesa_x", api_url=proxy.url, retries=0) as mesa:
        for body, code, details in bodies:
            proxy.faults = [Fault(status, {"x-request-id": "t"}, body)]
            with pytest.raises(kind) as caught:
                mesa.whoami()
            error = caught.value
            assert type(error) is kind
            assert (error.status_code, error.code) == (status, code)
            assert (error.details, error.trace_id) == (details, "t")
            assert error.message


def test_merge_conflicts_name_their_paths():
    place = {"old_start": 1, "old_lines": 1, "new_start": 1, "new_lines": 1}
    sides = {"target": {"content": "YQo="}, "base": None, "source": {"content": "Ygo="}}
    conflict = {"path": "a", "hunks": [{"hunk_id": "h", **place, **sides}]}
    details = {"conflict_paths": ["a"], "conflicts": [conflict]}
    body = {"error": {"code": "MERGE_CONFLICT", "message": "m", "details": details}}
    error = errors.refusal(409, json.dumps(body), {})
    assert isinstance(error, errors.MergeConflictError)
    assert error.conflict_paths == ["a"]
    (hunk,) = error.conflicts[0].hunks
    assert hunk.target is not None
    assert (hunk.hunk_id, hunk.target.data, hunk.base) == ("h", b"a\n", None)
    bare = {"error": {"code": "MERGE_CONFLICT", "message": "m"}}
    unnamed = errors.refusal(409, json.dumps(bare), {})
    assert isinstance(unnamed, errors.MergeConflictError)
    assert (unnamed.conflict_paths, unnamed.conflicts) == ([], [])


def test_no_answer():
    with Mesa(api_key="mesa_x", api_url=f"http://127.0.0.1:{free_port()}", retries=0) as mesa:
        with pytest.raises(ConnectionFailedError) as caught:
            mesa.whoami()
        assert isinstance(caught.value.__cause__, httpx.ConnectError)
        assert isinstance(caught.value, MesaError)
        assert "GET http://127.0.0.1" in str(caught.value)


def test_no_answer_in_time(server: Server):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Mesa(api_key="mesa_x", api_url=url, retries=0, timeout=0.2) as mesa:
            with pytest.raises(TimedOutError) as caught:
                mesa.whoami()
            assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"org": {}}', b'{"org": 7}', b"null"])
def test_a_success_that_is_none(body: bytes, proxy: FlakyProxy):
    proxy.faults = [Fault(200, {"content-type": "application/json"}, body)]
    with Mesa(api_key="mesa_x", api_url=proxy.url) as mesa, pytest.raises(MalformedResponseError):
        mesa.whoami()


def test_a_list_that_does_not_say_where_it_goes_on(proxy: FlakyProxy):
    body = b'{"repos": [], "next_cursor": "c", "has_more": true}'
    with Mesa(api_key="mesa_x", api_url=proxy.url, org="o") as mesa:
        proxy.faults = [Fault(200, {}, body.replace(b'"c"', b"null"))]
        with pytest.raises(MalformedResponseError):
            list(mesa.repos.iterate())
        proxy.faults = [Fault(200, {}, body)] * 3
        with pytest.raises(MalformedResponseError):
            list(mesa.repos.iterate())
        assert len(proxy.faults) == 1


def test_one_tree_and_all_of_it_can_be_copied():
    made = [
        errors.InvalidOptionsError("m"),
        errors.InvalidApiUrlError("x"),
        errors.MissingCredentialError("m"),
        errors.MissingDependencyError("p", "e"),
        errors.NativeModuleMissingError(),
        errors.OrgResolutionError("m"),
        errors.MissingWebhookSecretError(),
        errors.WebhookVerificationError("m"),
        errors.WebhookHandlerError([ValueError("v")]),
        errors.ConnectionFailedError("m"),
        errors.TimedOutError("m"),
        errors.MalformedResponseError("m"),
        *[errors.refusal(status, "", {}) for status in errors.STATUS_CLASSES],
    ]
    assert len({error.code for error in made}) == len(made)
    for error in made:
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert type(twin) is type(error)
            assert (twin.code, str(twin)) == (error.code, str(error))
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    raised = [c for c in classes if issubclass(c, Exception)]
    assert all(issubclass(c, MesaError) for c in raised)
