"""Ed25519 private keys: `mesa_private_key_<org>_<base64url of the PKCS#8>`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from mesa_sdk.errors import InvalidOptionsError, MissingDependencyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX = "mesa_private_key_"
_ORG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
#: RFC 8410: PKCS#8 version 0, id-Ed25519, then the 32 bytes of the seed.
_DER = bytes.fromhex("302e020100300506032b657004220420")
_SEED_BYTES = 32


class PrivateKey:
    """A key that signs access tokens of one org. Never sent; its public half is registered."""

    def __init__(self, org: str, seed: bytes) -> None:
        if not _ORG.fullmatch(org):
            raise InvalidOptionsError(f"not an org: {org!r}")
        if len(seed) != _SEED_BYTES:
            raise InvalidOptionsError("an Ed25519 seed has 32 bytes")
        self.org = org
        self._seed = seed
        self._key: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def parse(cls, text: str) -> PrivateKey:
        """Reads the text form. Errors never hold it."""
        org, separator, rest = text.strip().removeprefix(_PREFIX).partition("_")
        try:
            der = base64.b64decode(rest + "=" * (-len(rest) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            der = b""
        wanted = len(_DER) + _SEED_BYTES
        if not separator or not text.strip().startswith(_PREFIX) or not der.startswith(_DER):
            raise InvalidOptionsError("not a private key: it reads mesa_private_key_<org>_<key>")
        if len(der) != wanted:
            raise InvalidOptionsError("not a private key: its key is no Ed25519 key")
        return cls(org, der[len(_DER) :])

    @classmethod
    def generate(cls, org: str) -> PrivateKey:
        """A new one; register its `public_key` with `signing_keys.create`."""
        made: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.generate()
        return cls(org, made.private_bytes_raw())

    @property
    def text(self) -> str:
        """The text form, which is the secret."""
        return f"{_PREFIX}{self.org}_{base64url(_DER + self._seed)}"

    @property
    def public_key(self) -> str:
        """base64url of the 32 bytes of the public half."""
        return base64url(self._key.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the signature."""
        return self._key.sign(data)

    def __repr__(self) -> str:
        return f"PrivateKey(org={self.org!r}, public_key={self.public_key!r})"

    def __reduce__(self) -> Any:
        return (PrivateKey, (self.org, self._seed))


def base64url(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _ed25519() -> Any:
    # Only here: who signs in with an API key needs no cryptography.
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError("cryptography", "signing") from error
    return ed25519
