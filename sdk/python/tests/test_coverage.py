"""Looks back at the whole run: the routes of the server, the methods of the clients, and which of
them were driven to a success."""

import inspect

from conftest import SUCCEEDED
from mesa_sdk import AsyncMesa, Mesa
from routes import call_of, described, groups, matches, normal, route_of

#: Refused by every server until git transfer exists.
NEVER_SUCCEED = {
    "POST /{org}/{repo}/upstream/syncs",
    "GET /{org}/{repo}/upstream/syncs/{syncId}",
}


def test_both_clients_have_the_same_methods():
    blocking, awaiting = groups(Mesa(api_key="x")), groups(AsyncMesa(api_key="x"))
    assert blocking.keys() == awaiting.keys()
    for name, group in blocking.items():
        mine, other = described(type(group)), described(type(awaiting[name]))
        assert mine.keys() == other.keys()
        for one in mine:
            assert mine[one].describe is other[one].describe
            assert mine[one].__doc__, f"{name}.{one} says nothing"
            bound = getattr(awaiting[name], one)
            assert inspect.iscoroutinefunction(bound) != one.startswith("iterate")
            assert bound.__qualname__ == f"{type(awaiting[name]).__name__}.{one}"
    public = {n for n in dir(Mesa) if not n.startswith("_")}
    assert public ^ {n for n in dir(AsyncMesa) if not n.startswith("_")} == {"close", "aclose"}


def test_every_route_has_a_method_and_every_method_a_route(served: set[str]):
    methods = [m for g in groups(Mesa(api_key="x")).values() for m in described(type(g)).values()]
    reached = {route_of(call_of(method), served) for method in methods} | {"GET /whoami"}
    assert served - reached == set()


def test_every_route_was_driven_to_a_success(served: set[str]):
    driven: set[str] = set()
    for method, path in SUCCEEDED:
        found = [route for route in served if matches(route, method, path)]
        driven.add(min(found, key=lambda route: route.count("{")))
    assert served - driven == {normal(route) for route in NEVER_SUCCEED}
