# SPDX-License-Identifier: Apache-2.0
"""Makes tokens: Ed25519 keys, their JSON Web Keys (RFC 8037) and compact signatures (RFC 7515)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MintingKey:
    """A private key that signs tokens; it stays out of its repr."""

    kid: str
    made_at: datetime
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, secret: bytes, made_at: datetime) -> Self:
        """The key of a 32-byte secret; its id is the thumbprint of its public half (RFC 7638).

        Raises:
            ValueError: If the secret is not of that length.
        """
        private = Ed25519PrivateKey.from_private_bytes(secret)
        members = {"crv": "Ed25519", "kty": "OKP", "x": _b64url(private.public_key().public_bytes_raw())}
        return cls(kid=_b64url(hashlib.sha256(msgspec.json.encode(members)).digest()), made_at=made_at, private=private)

    @property
    def secret(self) -> bytes:
        """What its keeper writes down."""
        return self.private.private_bytes_raw()

    def jwk(self) -> dict[str, str]:
        """Its public half."""
        x = _b64url(self.private.public_key().public_bytes_raw())
        return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "alg": "EdDSA", "use": "sig"}

    def token(self, claims: Mapping[str, Any]) -> str:
        """A signed token that says ``claims``."""
        head = _b64url(msgspec.json.encode({"alg": "EdDSA", "kid": self.kid, "typ": "JWT"}))
        message = f"{head}.{_b64url(msgspec.json.encode(dict(claims)))}"
        return f"{message}.{_b64url(self.private.sign(message.encode()))}"


def key_set(keys: Sequence[MintingKey]) -> bytes:
    """The public halves as a JSON Web Key Set."""
    return msgspec.json.encode({"keys": [key.jwk() for key in keys]})


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
