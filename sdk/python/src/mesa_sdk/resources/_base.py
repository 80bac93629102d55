"""Methods of both kinds of client from one description of a route.

`create = method(create_repo)` in a :class:`Resource` is a method with the parameters, the types
and the text of `create_repo`; :func:`amethod` does the same for an :class:`AsyncResource`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from mesa_sdk._call import Call
from mesa_sdk._pages import AsyncItems, Items
from mesa_sdk._transport import AsyncTransport, SyncTransport
from mesa_sdk.models import Page

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Resource:
    """A group of routes."""

    def __init__(self, transport: SyncTransport) -> None:
        self.transport = transport


class AsyncResource:
    """A group of routes."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport


class Described(Generic[P, T]):
    """What `help` and other tools show of a method."""

    #: What is shown for the answer; {} is the type of the call's.
    _RETURNS = "{}"

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self.describe = describe
        self._name = self._owner = ""
        self.__doc__ = describe.__doc__
        signature = inspect.signature(describe)
        answer = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
        shown = self._RETURNS.format(answer)
        self.signature = signature.replace(return_annotation=shown)

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._owner = name, owner.__qualname__

    def _dressed(self, bound: F) -> F:
        bound.__name__ = self._name
        bound.__qualname__ = f"{self._owner}.{self._name}"
        bound.__doc__ = self.__doc__
        bound.__module__ = self.describe.__module__
        bound.__signature__ = self.signature  # pyright: ignore[reportFunctionMemberAccess]
        return bound


class method(Described[P, T]):  # noqa: N801
    """A method that sends a call and answers its answer."""

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource, owner: type) -> Callable[P, T]: ...
    def __get__(self, resource: Resource | None, owner: type) -> Self | Callable[P, T]:
        if resource is None:
            return self
        transport = resource.transport

        def bound(*args: P.args, **kwargs: P.kwargs) -> T:
            return transport.send(self.describe(*args, **kwargs))

        return self._dressed(bound)


class amethod(Described[P, T]):  # noqa: N801
    """The same for an asynchronous client."""

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(
        self, resource: AsyncResource, owner: type
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(
        self, resource: AsyncResource | None, owner: type
    ) -> Self | Callable[P, Coroutine[Any, Any, T]]:
        if resource is None:
            return self
        transport = resource.transport

        async def bound(*args: P.args, **kwargs: P.kwargs) -> T:
            return await transport.send(self.describe(*args, **kwargs))

        return self._dressed(bound)


class items(Described[P, Page[T]]):  # noqa: N801
    """A method that answers all of a list, page after page."""

    _RETURNS = "Items"

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: Resource, owner: type) -> Callable[P, Items[T]]: ...
    def __get__(self, resource: Resource | None, owner: type) -> Self | Callable[P, Items[T]]:
        if resource is None:
            return self
        transport = resource.transport

        def bound(*args: P.args, **kwargs: P.kwargs) -> Items[T]:
            return Items(transport, self.describe(*args, **kwargs))

        return self._dressed(bound)


class aitems(Described[P, Page[T]]):  # noqa: N801
    """The same for an asynchronous client; use it with `async for`."""

    _RETURNS = "AsyncItems"

    @overload
    def __get__(self, resource: None, owner: type) -> Self: ...
    @overload
    def __get__(self, resource: AsyncResource, owner: type) -> Callable[P, AsyncItems[T]]: ...
    def __get__(
        self, resource: AsyncResource | None, owner: type
    ) -> Self | Callable[P, AsyncItems[T]]:
        if resource is None:
            return self
        transport = resource.transport

        def bound(*args: P.args, **kwargs: P.kwargs) -> AsyncItems[T]:
            return AsyncItems(transport, self.describe(*args, **kwargs))

        return self._dressed(bound)
