"""Models of answers, read from JSON by their annotations.

A key that the contract requires must be there and of its type; keys that this package does not
know yet are kept in `additional_properties`. Words of an open list (states, kinds) are not checked
against the list, so that a newer server can add some.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field
from datetime import datetime
from functools import cache
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from mesa_sdk.errors import MalformedResponseError

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Model:
    """An object of an answer."""

    additional_properties: dict[str, Any] = field(
        default_factory=dict[str, Any], repr=False, compare=False
    )

    @classmethod
    def from_dict(cls, value: object) -> Self:
        """Reads it from parsed JSON."""
        return cast("Self", decode(cls, value, cls.__name__))

    def to_dict(self) -> dict[str, Any]:
        """The same as it would be in JSON, unknown keys included."""
        shown = {
            name: _plain(getattr(self, name))
            for name, (_, required) in _plan(type(self)).items()
            if required or getattr(self, name) is not None
        }
        return {**self.additional_properties, **shown}


@dataclass(frozen=True, kw_only=True)
class Page(Model, Generic[T]):
    """One page of a list."""

    next_cursor: str | None
    has_more: bool

    @property
    def items(self) -> Sequence[T]:
        """What is on this page."""
        raise NotImplementedError


def _plain(value: object) -> object:
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    return value


@cache
def _plan(cls: type[Model]) -> dict[str, tuple[Any, bool]]:
    """For each field, which is a key of the JSON: its type, whether it is required."""
    hints = get_type_hints(cls)
    return {
        f.name: (hints[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in dataclasses.fields(cls)
        if f.name != "additional_properties"
    }


def decode(kind: Any, value: object, where: str) -> Any:  # noqa: C901, PLR0911, PLR0912
    """`value` (parsed JSON) as `kind`; `where` names the place in errors."""
    if kind is Any:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), value, where)
    if origin is list:
        if isinstance(value, list):
            (inner,) = get_args(kind)
            items = cast("list[object]", value)
            return [decode(inner, item, f"{where}[{n}]") for n, item in enumerate(items)]
    elif origin is dict:
        if isinstance(value, dict):
            _, inner = get_args(kind)
            pairs = cast("dict[str, object]", value)
            return {key: decode(inner, item, f"{where}.{key}") for key, item in pairs.items()}
    elif origin is Literal:
        if isinstance(value, str):
            return value
    elif kind is type(None):
        if value is None:
            return None
    elif kind is datetime:
        if isinstance(value, str):
            return _time(value, where)
    elif kind is int:
        # The contract says `number` of some counts.
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif kind in (str, bool, float):
        if isinstance(value, kind):
            return value
    elif isinstance(value, dict):
        return _object(kind, cast("dict[str, object]", value), where)
    raise MalformedResponseError(f"{where}: expected {_name(kind)}, got {type(value).__name__}")


def _object(cls: type[Model], value: dict[str, object], where: str) -> Model:
    given: dict[str, Any] = {}
    plan = _plan(cls)
    for key, (kind, required) in plan.items():
        if key in value:
            # An optional key may say null for absent, whatever its type.
            absent = value[key] is None and not required
            given[key] = None if absent else decode(kind, value[key], f"{where}.{key}")
        elif required:
            raise MalformedResponseError(f"{where}: {key} is missing")
    rest = {key: item for key, item in value.items() if key not in plan}
    return cls(**given, additional_properties=rest)


def _union(kinds: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    models = [k for k in kinds if isinstance(k, type) and issubclass(k, Model)]
    if len(models) > 1:
        shown = cast("dict[str, object]", value) if isinstance(value, dict) else {}
        said = shown.get("type")
        for model in models:
            if said in get_args(_plan(model)["type"][0]):
                return decode(model, shown, where)
        raise MalformedResponseError(f"{where}: unknown type {said!r}")
    (kind,) = [k for k in kinds if k is not type(None)]
    return decode(kind, value, where)


def _time(text: str, where: str) -> datetime:
    # Python 3.10 does not read the Z that others may write.
    readable = text[:-1] + "+00:00" if text.endswith("Z") else text
    try:
        return datetime.fromisoformat(readable)
    except ValueError as error:
        raise MalformedResponseError(f"{where}: not a time: {text!r}") from error


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
