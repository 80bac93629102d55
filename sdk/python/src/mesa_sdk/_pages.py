"""Lists that are read page by page while they are iterated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Generic, TypeVar

from mesa_sdk._call import Call
from mesa_sdk._transport import AsyncTransport, SyncTransport
from mesa_sdk.errors import MalformedResponseError
from mesa_sdk.models import Page

T = TypeVar("T")


def _next(call: Call[Page[T]], page: Page[T]) -> Call[Page[T]] | None:
    if not page.has_more:
        return None
    if page.next_cursor is None or page.next_cursor == call.query.get("cursor"):
        raise MalformedResponseError("a list says that it goes on, but not where")
    return call.after(page.next_cursor)


class Items(Generic[T]):
    """All of a list, from the place that was asked for on. Each iteration asks the server anew."""

    def __init__(self, transport: SyncTransport, call: Call[Page[T]]) -> None:
        self._transport = transport
        self._call = call

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """The same page by page."""
        call: Call[Page[T]] | None = self._call
        while call is not None:
            page = self._transport.send(call)
            yield page
            call = _next(call, page)


class AsyncItems(Generic[T]):
    """All of a list, from the place that was asked for on. Each iteration asks the server anew."""

    def __init__(self, transport: AsyncTransport, call: Call[Page[T]]) -> None:
        self._transport = transport
        self._call = call

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """The same page by page."""
        call: Call[Page[T]] | None = self._call
        while call is not None:
            page = await self._transport.send(call)
            yield page
            call = _next(call, page)
