"""Targets, deliveries of a real server, and what is refused as none."""

import json
import time

import pytest

from mesa_sdk import (
    SIGNATURE_HEADER,
    AsyncMesa,
    AsyncWebhooks,
    Mesa,
    MissingWebhookSecretError,
    NotFoundError,
    ValidationError,
    WebhookEvent,
    WebhookHandlerError,
    Webhooks,
    WebhookVerificationError,
    sign,
    verify,
)
from support import ORG, Receiver, unique

BODY = b'{"id": "1", "type": "push", "data": {}}'


def headers(body: bytes = BODY, at: float | None = None, secret: str = "whsec_x") -> dict[str, str]:
    return {SIGNATURE_HEADER: sign(secret, int(time.time() if at is None else at), body)}


def test_the_golden_signature():
    given = sign("whsec_x", 1700000000, "{}")
    digest = "be8cb8325f2202445260a855532f967e30ad2a9394ce28da66ee02880ddcb661"
    assert given == f"t=1700000000,sha256={digest}"


def test_targets(mesa: Mesa, receiver: Receiver):
    targets = mesa.webhook_targets
    made = targets.create(url=receiver.url, name="n", events=["push", "repo.created"])
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert made.id in [one.id for one in targets.iterate(limit=1)]
    assert made.id in [one.id for one in targets.list(limit=100).webhook_targets]
    repo = mesa.repos.create(name=unique("hooked"))
    changed = targets.update(webhook_target_id=made.id, name="m", repo_ids=[repo.id])
    assert (changed.name, changed.repo_ids) == ("m", [repo.id])
    assert targets.update(webhook_target_id=made.id, events=["push"]).name == "m"
    assert targets.clear_repo_filter(webhook_target_id=made.id).repo_ids is None
    assert targets.clear_name(webhook_target_id=made.id).name is None
    assert targets.get(webhook_target_id=made.id).events == ["push"]
    assert targets.delete(webhook_target_id=made.id).success
    with pytest.raises(NotFoundError) as caught:
        targets.get(webhook_target_id=made.id)
    assert caught.value.code == "WEBHOOK_TARGET_NOT_FOUND"
    with pytest.raises(ValidationError):
        targets.create(url="ftp://hooks.example/")


def test_deliveries_verify_and_altered_ones_do_not(mesa: Mesa, receiver: Receiver):
    made = mesa.webhook_targets.create(
        url=receiver.url, events=["repo.created", "repo.updated", "repo.deleted"]
    )
    name = unique("told")
    mesa.repos.create(name=name)
    mesa.repos.update(repo=name, name=f"{name}.2")
    mesa.repos.delete(repo=f"{name}.2")
    seen: list[WebhookEvent] = []

    def keep(event: WebhookEvent) -> None:
        # Other tests' repos are told of too; and an event may come twice.
        repository = event["repository"]
        is_ours = repository is not None and repository["name"].startswith(name)
        if is_ours and event["id"] not in [one["id"] for one in seen]:
            seen.append(event)

    hooks = Webhooks(made.secret)
    hooks.on(["repo.created", "repo.updated", "repo.deleted"], keep)
    body, given = b"", {}
    while len(seen) < 3:
        body, given = receiver.deliveries.get(timeout=30)
        hooks.receive(body, given)
    assert [event["type"] for event in seen] == ["repo.created", "repo.updated", "repo.deleted"]
    assert seen[0]["organization"]["slug"] == ORG
    assert seen[1]["data"]["after"]["name"] == f"{name}.2"
    assert len({event["id"] for event in seen}) == 3
    for altered in (body + b" ", body.replace(b"deleted", b"created")):
        with pytest.raises(WebhookVerificationError):
            hooks.receive(altered, given)
    with pytest.raises(WebhookVerificationError):
        Webhooks("whsec_other").receive(body, given)
    assert len(seen) == 3

    by_id = {
        one.event_id: one
        for one in mesa.webhook_targets.deliveries(webhook_target_id=made.id).items
    }
    while by_id[seen[2]["id"]].state != "delivered":
        # The receiver has it before the server has noted so.
        time.sleep(0.02)
        listed = mesa.webhook_targets.iterate_deliveries(webhook_target_id=made.id, limit=2)
        by_id = {one.event_id: one for one in listed}
    first = by_id[seen[0]["id"]]
    assert (first.attempts[0].status, first.attempts[0].error) == (204, None)
    again = mesa.webhook_targets.redeliver(webhook_target_id=made.id, delivery_id=first.id)
    assert again.redelivery_of == first.id
    repeated = ""
    while repeated != seen[0]["id"]:
        body, given = receiver.deliveries.get(timeout=30)
        repeated = verify(made.secret, body, given)["id"]
    mesa.webhook_targets.delete(webhook_target_id=made.id)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "t=1700000000",
        "sha256=00",
        "t=,sha256=00",
        "t=-1,sha256=00",
        "t=²,sha256=00",
        "t=1700000000,sha256=",
        "t=1700000000,sha256=ü",
        "t=1700000000,sha512=00",
        "t=" + "9" * 5000 + ",sha256=00",
    ],
)
def test_what_is_no_signature(value: str):
    with pytest.raises(WebhookVerificationError):
        verify("whsec_x", BODY, {SIGNATURE_HEADER: value}, now=1_700_000_000)


def test_the_whole_header_counts():
    good = headers()[SIGNATURE_HEADER]
    assert verify("whsec_x", BODY, {"X-Mesa-Signature": good})["type"] == "push"
    for other in (
        good.replace(",", ", "),
        good + ",sha256=0",
        good.upper(),
        " " + good,
        good.replace("t=", "t=0"),
    ):
        with pytest.raises(WebhookVerificationError):
            verify("whsec_x", BODY, {SIGNATURE_HEADER: other})
    with pytest.raises(WebhookVerificationError):
        verify("whsec_x", BODY, {})


def test_age():
    signed = headers(at=1_700_000_000)
    for now in (1_700_000_000 - 300, 1_700_000_000 + 300):
        assert verify("whsec_x", BODY, signed, now=now)["id"] == "1"
    for now in (1_700_000_000 - 301, 1_700_000_000 + 301):
        with pytest.raises(WebhookVerificationError):
            verify("whsec_x", BODY, signed, now=now)
    assert verify("whsec_x", BODY, signed, now=1_700_009_999, tolerance_seconds=9999)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"id": 1}', b'{"id": "1"}', b"\xff"])
def test_what_is_signed_and_still_no_event(body: bytes):
    with pytest.raises(WebhookVerificationError):
        verify("whsec_x", body, headers(body))


def test_all_handlers_run_and_their_errors_are_told():
    hooks = Webhooks("whsec_x")
    ran: list[str] = []

    def failing(event: WebhookEvent) -> None:
        ran.append("failing")
        raise LookupError(event["id"])

    hooks.on("push", failing)
    hooks.on("push", lambda _: ran.append("second"))
    hooks.on("repo.created", lambda _: ran.append("other"))
    with pytest.raises(WebhookHandlerError) as caught:
        hooks.receive(BODY, headers())
    assert ran == ["failing", "second"]
    assert [type(error) for error in caught.value.errors] == [LookupError]
    unknown = json.dumps({"id": "2", "type": "of.tomorrow"}).encode()
    hooks.receive(unknown, headers(unknown))
    with pytest.raises(MissingWebhookSecretError):
        Webhooks().receive(BODY, headers())


def test_the_secret_of_the_client(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MESA_WEBHOOK_SECRET", "whsec_x")
    with Mesa(api_key="x") as mesa:
        assert mesa.webhooks.verify(BODY, headers())["id"] == "1"
    with (
        Mesa(api_key="x", webhook_secret="whsec_y") as mesa,
        pytest.raises(WebhookVerificationError),
    ):
        mesa.webhooks.verify(BODY, headers())


@pytest.mark.anyio
async def test_handlers_may_be_coroutine_functions():
    ran: list[str] = []

    async def one(event: WebhookEvent) -> None:
        ran.append(event["id"])

    async def failing(event: WebhookEvent) -> None:
        raise LookupError(event["id"])

    hooks = AsyncWebhooks("whsec_x")
    hooks.on(["push"], one)
    hooks.on("push", failing)
    hooks.on("push", lambda _: ran.append("plain"))
    with pytest.raises(WebhookHandlerError):
        await hooks.receive(BODY, headers())
    assert ran == ["1", "plain"]
    async with AsyncMesa(api_key="x", webhook_secret="whsec_x") as mesa:
        await mesa.webhooks.receive(BODY, headers())
