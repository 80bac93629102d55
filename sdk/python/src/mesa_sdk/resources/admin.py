"""What only the operator of a server may do."""

from __future__ import annotations

from mesa_sdk._call import Call, given, model, query
from mesa_sdk.models import OrgCreated, OrgsPage
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method


def orgs_page(*, cursor: str | None = None, limit: int | None = None) -> Call[OrgsPage]:
    """Orgs of the server."""
    pairs = query(cursor=cursor, limit=limit)
    return Call("GET", ("admin", "orgs"), model(OrgsPage), in_org=False, query=pairs)


def create_org(*, slug: str, name: str | None = None) -> Call[OrgCreated]:
    """Makes an org and its first admin key."""
    body = given(slug=slug, name=name)
    return Call("POST", ("admin", "orgs"), model(OrgCreated), in_org=False, body=body)


class Admin(Resource):
    """Orgs of the server. Needs the operator's key."""

    list_orgs = method(orgs_page)
    iterate_orgs = items(orgs_page)
    create_org = method(create_org)


class AsyncAdmin(AsyncResource):
    """Orgs of the server. Needs the operator's key."""

    list_orgs = amethod(orgs_page)
    iterate_orgs = aitems(orgs_page)
    create_org = amethod(create_org)
