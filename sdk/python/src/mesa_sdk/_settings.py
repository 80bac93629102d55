"""What a client is made with: arguments, then environment, then defaults."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from mesa_sdk._credentials import Credential
from mesa_sdk._private_key import PrivateKey
from mesa_sdk._retry import RetryPolicy
from mesa_sdk._version import __version__
from mesa_sdk.errors import InvalidApiUrlError, InvalidOptionsError

#: As of the `mesa` command.
DEFAULT_API_URL = "http://127.0.0.1:7117"
DEFAULT_TIMEOUT_SECONDS = 60.0
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Settings:
    """Everything that does not change in the life of a client."""

    #: With `/v1`, without a slash at the end.
    base: str
    credential: Credential
    org: str | None
    user_agent: str
    timeout: httpx.Timeout
    retries: RetryPolicy

    @property
    def signs(self) -> bool:
        """Whether calls are authorized by tokens that this client signs."""
        return isinstance(self.credential, PrivateKey)


def base_url(text: str) -> str:
    """The base of all routes; `/v1` is added unless it is there."""
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidApiUrlError(text)
    if parts.username is not None:
        raise InvalidOptionsError("the API URL holds a credential; pass it as api_key")
    path = parts.path.rstrip("/")
    if path.rpartition("/")[2] != "v1":
        path += "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def user_agent(suffix: str | None) -> str:
    """What the server's log shows."""
    own = f"mesa-sdk-python/{__version__}"
    return f"{own} {suffix}" if suffix else own


def timeout(given: float | httpx.Timeout | None) -> httpx.Timeout:
    """Of one sending: connecting is given up sooner than waiting for the answer."""
    if isinstance(given, httpx.Timeout):
        return given
    seconds = DEFAULT_TIMEOUT_SECONDS if given is None else given
    return httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def client_options(base: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Options of the HTTP client: a private authority is trusted when it is named, and a server
    on this machine is never reached through a proxy.
    """
    options: dict[str, Any] = {"follow_redirects": False}
    if authority := environment.get("MESA_CA_FILE"):
        context = ssl.create_default_context()
        try:
            context.load_verify_locations(cafile=authority)
        except OSError as error:
            message = f"MESA_CA_FILE {authority!r} is no certificate: {error}"
            raise InvalidOptionsError(message) from error
        options["verify"] = context
    host = urlsplit(base).hostname or ""
    if _is_local(host):
        shown = f"[{host}]" if ":" in host else host
        options["mounts"] = {f"all://{shown}": None}
    return options


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
