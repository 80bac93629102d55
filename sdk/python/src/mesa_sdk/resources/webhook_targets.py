"""Webhook targets and their deliveries."""

from __future__ import annotations

from collections.abc import Sequence

from mesa_sdk._call import Call, given, model, query
from mesa_sdk.models import (
    DeliveriesPage,
    Delivery,
    Success,
    WebhookTarget,
    WebhookTargetCreated,
    WebhookTargetsPage,
)
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method

_TARGETS = "webhook-targets"


def list_targets(
    *, cursor: str | None = None, limit: int | None = None, org: str | None = None
) -> Call[WebhookTargetsPage]:
    """Targets of the org."""
    pairs = query(cursor=cursor, limit=limit)
    return Call("GET", (_TARGETS,), model(WebhookTargetsPage), org=org, query=pairs)


def create_target(
    *,
    url: str,
    name: str | None = None,
    events: Sequence[str] | None = None,
    repo_ids: Sequence[str] | None = None,
    org: str | None = None,
) -> Call[WebhookTargetCreated]:
    """Makes a target; its secret is in this answer only. Without `events` it is told of `push`."""
    body = given(
        url=url,
        name=name,
        events=events and list(events),
        repo_ids=repo_ids and list(repo_ids),
    )
    return Call("POST", (_TARGETS,), model(WebhookTargetCreated), org=org, body=body)


def get_target(*, webhook_target_id: str, org: str | None = None) -> Call[WebhookTarget]:
    """A target."""
    return Call("GET", (_TARGETS, webhook_target_id), model(WebhookTarget), org=org)


def update_target(
    *,
    webhook_target_id: str,
    url: str | None = None,
    name: str | None = None,
    events: Sequence[str] | None = None,
    repo_ids: Sequence[str] | None = None,
    org: str | None = None,
) -> Call[WebhookTarget]:
    """Changes what is passed."""
    body = given(
        url=url,
        name=name,
        events=events and list(events),
        repo_ids=repo_ids and list(repo_ids),
    )
    return Call("PATCH", (_TARGETS, webhook_target_id), model(WebhookTarget), org=org, body=body)


def clear_name(*, webhook_target_id: str, org: str | None = None) -> Call[WebhookTarget]:
    """Takes the target's name away."""
    path = (_TARGETS, webhook_target_id)
    return Call("PATCH", path, model(WebhookTarget), org=org, body={"name": None})


def clear_repo_filter(*, webhook_target_id: str, org: str | None = None) -> Call[WebhookTarget]:
    """Tells the target of the whole org."""
    path = (_TARGETS, webhook_target_id)
    return Call("PATCH", path, model(WebhookTarget), org=org, body={"repo_ids": None})


def delete_target(*, webhook_target_id: str, org: str | None = None) -> Call[Success]:
    """Deletes a target and what is queued for it."""
    return Call("DELETE", (_TARGETS, webhook_target_id), model(Success), org=org)


def list_deliveries(
    *,
    webhook_target_id: str,
    cursor: str | None = None,
    limit: int | None = None,
    org: str | None = None,
) -> Call[DeliveriesPage]:
    """Deliveries to a target with their attempts, newest first."""
    path = (_TARGETS, webhook_target_id, "deliveries")
    pairs = query(cursor=cursor, limit=limit)
    return Call("GET", path, model(DeliveriesPage), org=org, query=pairs)


def redeliver(
    *, webhook_target_id: str, delivery_id: str, org: str | None = None
) -> Call[Delivery]:
    """Sends an event once more, after what is queued."""
    path = (_TARGETS, webhook_target_id, "deliveries", delivery_id, "redeliver")
    return Call("POST", path, model(Delivery), org=org)


class WebhookTargets(Resource):
    """Webhook targets. Needs the admin scope."""

    list = method(list_targets)
    iterate = items(list_targets)
    create = method(create_target)
    get = method(get_target)
    update = method(update_target)
    clear_name = method(clear_name)
    clear_repo_filter = method(clear_repo_filter)
    delete = method(delete_target)
    deliveries = method(list_deliveries)
    iterate_deliveries = items(list_deliveries)
    redeliver = method(redeliver)


class AsyncWebhookTargets(AsyncResource):
    """Webhook targets. Needs the admin scope."""

    list = amethod(list_targets)
    iterate = aitems(list_targets)
    create = amethod(create_target)
    get = amethod(get_target)
    update = amethod(update_target)
    clear_name = amethod(clear_name)
    clear_repo_filter = amethod(clear_repo_filter)
    delete = amethod(delete_target)
    deliveries = amethod(list_deliveries)
    iterate_deliveries = aitems(list_deliveries)
    redeliver = amethod(redeliver)
