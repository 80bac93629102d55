"""Where the native module joins: mounting, layouts and `exec` are its business alone.

The module is `mesa_sdk._native`. It is imported when a program first asks a client for `fs`, so
that everything else works on machines it is not built for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

from mesa_sdk.errors import NativeModuleMissingError

if TYPE_CHECKING:
    from mesa_sdk.client import AsyncMesa, Mesa

_NAME = "mesa_sdk._native"


class NativeModule(Protocol):
    """What the module has to offer. Clients give it `tokens.create`, `api_url` and the org."""

    def filesystems(self, mesa: Mesa) -> Any:
        """What `Mesa.fs` is."""
        ...

    def async_filesystems(self, mesa: AsyncMesa) -> Any:
        """What `AsyncMesa.fs` is."""
        ...


def native() -> NativeModule:
    """The module. Raises :class:`NativeModuleMissingError` if it is not there or cannot be loaded;
    `__cause__` says why.
    """
    try:
        return cast("NativeModule", importlib.import_module(_NAME))
    except ImportError as error:
        raise NativeModuleMissingError from error
