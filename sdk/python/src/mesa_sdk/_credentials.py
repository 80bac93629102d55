"""What a client signs in with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mesa_sdk import _tokens
from mesa_sdk._private_key import PrivateKey
from mesa_sdk.errors import InvalidOptionsError, MissingCredentialError
from mesa_sdk.types import Author


@dataclass(frozen=True)
class ApiKey:
    """An API key, sent as it is."""

    key: str = field(repr=False)


@dataclass(frozen=True)
class Token:
    """An access token that somebody else signed."""

    token: str = field(repr=False)


Credential = ApiKey | Token | PrivateKey

#: In the order of the `mesa` command, then the one that only clients like this know.
VARIABLES = {
    "access_token": "MESA_ACCESS_TOKEN",
    "api_key": "MESA_API_KEY",
    "private_key": "MESA_PRIVATE_KEY",
}


def bearer(credential: Credential, authors: Sequence[Author]) -> str:
    """What one call is authorized by. Its retries take the same: the server seals the answer kept
    for an idempotency key with it.
    """
    if isinstance(credential, ApiKey):
        return credential.key
    if isinstance(credential, Token):
        return credential.token
    grant = _tokens.Grant(admin=True, authors=authors)
    return _tokens.with_private_key(credential, grant, _tokens.Moment()).token


def chosen(given: dict[str, str | None], environment: dict[str, str]) -> Credential:
    """The argument that was passed, else the first variable that is set."""
    passed = {name: text for name, text in given.items() if text is not None}
    if len(passed) > 1:
        raise InvalidOptionsError(f"pass only one of {' and '.join(sorted(passed))}")
    if not passed:
        for name, variable in VARIABLES.items():
            if text := environment.get(variable, "").strip():
                return _read(name, text)
        wanted = ", ".join(VARIABLES)
        message = f"no credential: pass {wanted}, or set {', '.join(VARIABLES.values())}"
        raise MissingCredentialError(message)
    ((name, text),) = passed.items()
    if not text.strip():
        raise MissingCredentialError(f"{name} is empty")
    return _read(name, text.strip())


def _read(name: str, text: str) -> Credential:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidOptionsError(f"{name} holds characters that no credential has")
    if name == "private_key":
        return PrivateKey.parse(text)
    return ApiKey(text) if name == "api_key" else Token(text)
