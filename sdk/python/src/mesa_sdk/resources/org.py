"""The org of the credential."""

from __future__ import annotations

from mesa_sdk._call import Call, model, query
from mesa_sdk.models import AuditPage, OrgSummary
from mesa_sdk.resources._base import AsyncResource, Resource, aitems, amethod, items, method


def get_org(*, org: str | None = None) -> Call[OrgSummary]:
    """The org in short."""
    return Call("GET", (), model(OrgSummary), org=org)


def list_audit(
    *, cursor: str | None = None, limit: int | None = None, org: str | None = None
) -> Call[AuditPage]:
    """What changed the org, newest first. Needs the admin scope."""
    return Call(
        "GET", ("audit",), model(AuditPage), org=org, query=query(cursor=cursor, limit=limit)
    )


class OrgResource(Resource):
    """The org."""

    @property
    def slug(self) -> str:
        """Its name in paths. Asks the server, unless the private key or `org` says it."""
        return self.transport.org()

    get = method(get_org)
    audit = method(list_audit)
    iterate_audit = items(list_audit)


class AsyncOrgResource(AsyncResource):
    """The org."""

    @property
    def slug(self) -> str:
        """Its name in paths, when the private key, `org` or an earlier call says it."""
        return self.transport.known_org()

    get = amethod(get_org)
    audit = amethod(list_audit)
    iterate_audit = aitems(list_audit)
