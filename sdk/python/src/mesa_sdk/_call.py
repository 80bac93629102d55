"""A call as data: what is sent and how the answer is read, without any I/O.

Every route is described once, by a function that answers a :class:`Call`; the descriptors of
`resources/_base.py` make a method of the synchronous and of the asynchronous client out of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

from mesa_sdk.errors import InvalidOptionsError, MalformedResponseError
from mesa_sdk.models import Model
from mesa_sdk.models._base import decode
from mesa_sdk.types import Author

T_co = TypeVar("T_co", covariant=True)
M = TypeVar("M", bound=Model)

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
TEXT: Final = "text/plain"


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """One request, and how its answer is read."""

    method: str
    #: Segments after `/v1`, not yet encoded.
    path: tuple[str, ...]
    read: Callable[[bytes], T_co]
    #: Whether the path begins with an org: `org` if given, else the client's.
    in_org: bool = True
    org: str | None = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, Any] | None = None
    accept: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Who the commit is by. A private key signs it into the token.
    authors: Sequence[Author] = ()
    #: The body's field for it with any other credential, if it has one.
    author_field: str | None = None

    @property
    def writes(self) -> bool:
        """Whether it changes something, and so carries an idempotency key."""
        return self.method != "GET"

    def url(self, base: str, org: str | None) -> str:
        """Where it goes. A name of dots is encoded too, as it would leave the path."""
        segments = (org, *self.path) if self.in_org else self.path
        shown: list[str] = []
        for segment in segments:
            if not segment:
                raise InvalidOptionsError("a name in the path is empty")
            dots = segment in (".", "..")
            shown.append(segment.replace(".", "%2E") if dots else _quoted(segment))
        return f"{base}/{'/'.join(shown)}"

    def content(self, *, signs: bool) -> bytes | None:
        """The body's bytes. `signs`: the credential is a private key, which names the authors."""
        body = self.body
        if self.authors and not signs:
            if self.author_field is None or len(self.authors) > 1:
                raise InvalidOptionsError("this many authors need a client with a private key")
            body = {**(body or {}), self.author_field: self.authors[0].signature()}
        return None if body is None else json.dumps(body, separators=(",", ":")).encode()

    def after(self, cursor: str) -> Call[T_co]:
        """The same from another place of the list on."""
        return replace(self, query={**self.query, "cursor": cursor})


def _quoted(segment: str) -> str:
    try:
        return quote(segment, safe="")
    except UnicodeError as error:
        raise InvalidOptionsError(f"a name in the path is not Unicode: {segment!a}") from error


def model(kind: type[M]) -> Callable[[bytes], M]:
    """Reads the answer as a model."""

    def read(content: bytes) -> M:
        return kind.from_dict(parsed(content))

    return read


def one_of(kind: Any, name: str) -> Callable[[bytes], Any]:
    """Reads the answer as one of several models."""

    def read(content: bytes) -> Any:
        return decode(kind, parsed(content), name)

    return read


def parsed(content: bytes) -> Any:
    """The JSON of an answer."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise MalformedResponseError("the answer is not JSON") from error


def given(**fields: object) -> dict[str, Any]:
    """The fields of a body that were passed: None is not passed."""
    return {name: value for name, value in fields.items() if value is not None}


def query(**fields: str | int | None) -> dict[str, str]:
    """The pairs of a query that were passed."""
    return {name: str(value) for name, value in fields.items() if value is not None}
