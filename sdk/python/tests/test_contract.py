"""The models and the requests against the server's own description."""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, get_args

import httpx

from mesa_sdk import (
    FileDelete,
    InvalidOptionsError,
    Mesa,
    Scope,
    TokenAuth,
    UpstreamConfig,
    WebhookEventName,
    WholeFileResolution,
    models,
)
from mesa_sdk._call import Call
from mesa_sdk.models import Model
from mesa_sdk.models._base import _plan  # pyright: ignore[reportPrivateUsage]
from routes import call_of, described, groups, normal, route_of
from support import Server

#: Models whose schema has another name.
NAMES = {
    "ApiKeysPage": "ApiKeyList",
    "AuditPage": "AuditList",
    "BookmarksPage": "BookmarkList",
    "ChangesPage": "ChangeList",
    "CommitSignature": "Signature",
    "ConflictContent": "ConflictSide",
    "ContentSymlink": "ContentFile",
    "DeliveriesPage": "DeliveryList",
    "EntrySymlink": "EntryFile",
    "OrgsPage": "OrgList",
    "ActionsPage": "ActionList",
    "ReposPage": "RepoList",
    "SigningKeysPage": "SigningKeyList",
    "SyncsPage": "SyncList",
    "WebhookTargetsPage": "WebhookTargetList",
}
#: Models that no schema describes, or that are keys of another one.
UNDESCRIBED = {"ConflictedPath", "Page", "Model"}


def description(server: Server) -> dict[str, Any]:
    return httpx.get(f"{server.url}/openapi.json", trust_env=False).json()


def schemas(server: Server) -> dict[str, Any]:
    return description(server)["components"]["schemas"]


def parts(schema: dict[str, Any], known: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema and those it is made of."""
    name = schema.get("$ref", "").rpartition("/")[2]
    inner = [known[name]] if name else []
    inner += schema.get("allOf", [])
    return [schema, *(part for one in inner for part in parts(one, known))]


def test_models_require_and_know_what_the_server_describes(server: Server):
    known = schemas(server)
    compared = 0
    for name, model in vars(models).items():
        if not (isinstance(model, type) and issubclass(model, Model)) or name in UNDESCRIBED:
            continue
        schema = known.get(NAMES.get(name, name))
        if schema is None:
            continue
        compared += 1
        whole = parts(schema, known)
        known_keys = {key for part in whole for key in part.get("properties", {})}
        required = {key for part in whole for key in part.get("required", [])}
        plan = _plan(model)
        needed = {key for key, (_, is_required) in plan.items() if is_required} - {"type"}
        # A key that may be absent must not be needed; one that is described must be known.
        assert needed <= required, name
        unknown = known_keys - set(plan) - {"from"}
        assert unknown == set(), name
    assert compared >= 35


def test_lists_of_words_are_those_of_the_server(server: Server):
    known = schemas(server)
    for name, words in {"Scope": Scope, "WebhookEventName": WebhookEventName}.items():
        schema = known[name]
        listed = schema.get("enum") or [one["const"] for one in schema["oneOf"]]
        assert set(listed) == set(get_args(words)), name


#: Something for every argument, by its name or else by what its type begins with.
VALUES: dict[str, Any] = {
    "upstream": UpstreamConfig("https://x", TokenAuth("t")),
    "files": [FileDelete("x")],
    "resolutions": [WholeFileResolution("x", take="source")],
    "author": {"name": "x"},
    "authors": [{"name": "x"}],
    "committer": {"name": "x"},
    "str": "x",
    "Literal": "x",
    "int": 1,
    "bool": True,
    "datetime": datetime(2026, 1, 1, tzinfo=timezone.utc),
    "Sequence[str]": ["x"],
    "Sequence[Scope]": ["read"],
    "Mapping": {"x": "y"},
    "Scope": "read",
    "KeyStatus": "all",
    "DiffConflictFilter": "only",
    "SyncDirection": "pull",
}


def calls(method: Any) -> Iterator[Call[Any]]:
    """Calls of a method with each of its optional arguments in turn."""
    yield call_of(method)
    for name, parameter in method.signature.parameters.items():
        if parameter.default is parameter.empty or name in ("org", "start", "end", "metadata"):
            continue
        kind = str(parameter.annotation)
        first = next((key for key in VALUES if kind.startswith(key)), None)
        value = VALUES[name] if name in VALUES else VALUES[first or "no value for " + kind]
        try:
            yield call_of(method, **{name: value})
        except InvalidOptionsError:
            # Only together with another one, which has its own turn.
            assert name in ("before", "at_commit_oid", "at_time", "at_operation"), name


def test_requests_say_what_the_server_describes(server: Server):
    document = description(server)
    known = document["components"]["schemas"]
    operations: dict[str, dict[str, Any]] = {
        normal(f"{method.upper()} {path}"): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }
    sent: dict[str, tuple[set[str], set[str]]] = {}
    for group in groups(Mesa(api_key="x")).values():
        for method in described(type(group)).values():
            for call in calls(method):
                try:
                    route = route_of(call, set(operations))
                except AssertionError:
                    continue
                queries, fields = sent.setdefault(route, (set(), set()))
                queries |= set(call.query)
                if call.author_field is not None or not call.authors:
                    fields |= set(json.loads(call.content(signs=False) or b"{}"))
    assert len(sent) >= 30
    for route, (queries, fields) in sent.items():
        operation = operations[route]
        parameters = operation.get("parameters", [])
        wanted = {one["name"] for one in parameters if one.get("in") == "query"}
        assert queries == wanted, route
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        whole = parts(body.get("schema", {}), known)
        assert fields == {key for part in whole for key in part.get("properties", {})}, route
