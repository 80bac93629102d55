"""Routes of the server, and the calls of the clients' methods."""

import re
from typing import Any

from mesa_sdk import AsyncMesa, Mesa
from mesa_sdk._call import Call
from mesa_sdk.resources._base import AsyncResource, Described, Resource


def normal(route: str) -> str:
    """A route whatever its parameters are called."""
    return re.sub(r"\{[^/]*?\}", "{}", route)


def matches(route: str, method: str, path: str) -> bool:
    """Whether a request is one of a route's."""
    pattern = re.escape(normal(route)).replace(r"\{\}", "[^/]+").replace(r"\ ", " ")
    return re.fullmatch(pattern, f"{method} {path}") is not None


def described(group: type) -> dict[str, Described[Any, Any]]:
    return {n: found for n, found in vars(group).items() if isinstance(found, Described)}


def groups(client: Mesa | AsyncMesa) -> dict[str, Resource | AsyncResource]:
    return {n: g for n, g in vars(client).items() if isinstance(g, (Resource, AsyncResource))}


def call_of(method: Described[Any, Any], **more: Any) -> Call[Any]:
    """The call of a method whose every argument that it needs is a made-up one."""
    given: dict[str, Any] = dict(more)
    for name, parameter in method.signature.parameters.items():
        assert parameter.kind is parameter.KEYWORD_ONLY, name
        if name not in given and parameter.default is parameter.empty:
            kinds = {"Sequence[str]": ["x"], "Mapping[str, str | None]": {"x": "y"}}
            given[name] = kinds.get(parameter.annotation, f"a {name}")
        elif name == "at_change" and not any(one.startswith("at_") for one in given):
            # One of several that exclude each other.
            given[name] = "x"
    return method.describe(**given)


def route_of(call: Call[Any], served: set[str]) -> str:
    path = call.url("", "an-org" if call.in_org else None)
    found = [route for route in served if matches(route, call.method, path)]
    assert found, f"{call.method} {path} is no route"
    # A literal segment wins over a parameter.
    return min(found, key=lambda route: route.count("{"))
