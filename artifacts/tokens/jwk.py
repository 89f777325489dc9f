# SPDX-License-Identifier: Apache-2.0
"""Public keys that tokens are checked with, read from a JSON Web Key Set (RFC 7517).

A key is bound to one algorithm by its own type: RSA to RS256, P-256 to ES256, Ed25519 to EdDSA (RFC 7518, RFC 8037). A
token never chooses: its ``alg`` has to be the key's, so neither ``none`` nor a public key used as an HMAC secret gets
anywhere. Keys that are for something else, too short, symmetric or malformed are left out; private parts are not read.
python-jose checks RS256 and ES256; it has no EdDSA, which ``cryptography`` checks.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jose import jwk
from jose.exceptions import JOSEError

Algorithm: TypeAlias = Literal["EdDSA", "ES256", "RS256"]
Check: TypeAlias = Callable[[bytes, bytes], bool]

MOST_KEYS: Final = 64
_RSA_BYTES: Final = (2048 // 8, 8192 // 8)  # shorter ones can be broken, longer ones only cost time


class InvalidKeySet(ValueError):
    """A document is not a key set, or has too many keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingKey:
    """One public key and the one algorithm it is used with."""

    kid: str | None
    algorithm: Algorithm
    check: Check  # message, signature

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the key's owner signed ``message``."""
        try:
            return self.check(message, signature)
        except (JOSEError, ValueError):  # a signature that is none
            return False


class _Jwk(msgspec.Struct):
    kty: str
    kid: str | None = None
    alg: str | None = None
    use: str | None = None
    key_ops: list[str] | None = None
    crv: str | None = None
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _Set(msgspec.Struct):
    keys: list[msgspec.Raw]


def read_keys(document: bytes) -> tuple[VerifyingKey, ...]:
    """The keys of a key set that can check tokens.

    Raises:
        InvalidKeySet: If it is no key set or has more than 64 keys.
    """
    try:
        keys = msgspec.json.decode(document, type=_Set).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidKeySet(f"not a JSON Web Key Set: {error}") from None
    if len(keys) > MOST_KEYS:
        raise InvalidKeySet(f"{len(keys)} keys; at most {MOST_KEYS} are read")
    return tuple(key for raw in keys if (key := _key(raw)) is not None)


def unpadded(text: bytes) -> bytes:
    """Decodes base64url without padding, strictly.

    Raises:
        ValueError: If it is not that.
    """
    if b"=" in text or b"+" in text or b"/" in text:
        raise ValueError("not base64url")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def _key(raw: msgspec.Raw) -> VerifyingKey | None:
    try:
        key = msgspec.json.decode(raw, type=_Jwk)
        if key.use not in (None, "sig") or (key.key_ops is not None and "verify" not in key.key_ops):
            return None
        bound = _bound(key)
    except (JOSEError, ValueError, UnicodeDecodeError):
        return None
    if bound is None or key.alg not in (None, bound[0]):
        return None
    return VerifyingKey(kid=key.kid, algorithm=bound[0], check=bound[1])


def _bound(key: _Jwk) -> tuple[Algorithm, Check] | None:
    match key.kty, key.crv:
        case "RSA", _ if _RSA_BYTES[0] <= len(unpadded(key.n.encode())) <= _RSA_BYTES[1]:
            return "RS256", jwk.construct({"kty": "RSA", "n": key.n, "e": key.e}, "RS256").verify
        case "EC", "P-256":
            return "ES256", jwk.construct({"kty": "EC", "crv": "P-256", "x": key.x, "y": key.y}, "ES256").verify
        case "OKP", "Ed25519":
            return "EdDSA", _ed25519(unpadded(key.x.encode()))
        case _:
            return None


def _ed25519(public: bytes) -> Check:
    key = Ed25519PublicKey.from_public_bytes(public)

    def check(message: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check
