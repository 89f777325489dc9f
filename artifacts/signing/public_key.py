# SPDX-License-Identifier: Apache-2.0
"""Public keys that may be trusted: Ed25519 and ECDSA on P-256 with SHA-256, nothing else.

The algorithm is a property of the trusted key, never of the message that claims to be signed, so a signature cannot choose
how it is checked.
"""

from __future__ import annotations

import hashlib
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from artifacts.signing.interface import Algorithm
from core.errors import ErrorCode, InvalidRequest


class PublicKey:
    """A public key, its algorithm and its two names."""

    def __init__(self, key: Ed25519PublicKey | EllipticCurvePublicKey) -> None:
        self._key = key

    @classmethod
    def from_pem(cls, pem: str | bytes) -> Self:
        """Reads a SubjectPublicKeyInfo in PEM.

        Raises:
            InvalidRequest: ``VALID_002`` if it is not one, or of another algorithm.
        """
        try:
            key = load_pem_public_key(pem.encode() if isinstance(pem, str) else pem)
        except (ValueError, UnsupportedAlgorithm):
            raise _unusable("not a public key in PEM") from None
        if isinstance(key, Ed25519PublicKey):
            return cls(key)
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            return cls(key)
        raise _unusable(f"a {type(key).__name__}")

    @property
    def algorithm(self) -> Algorithm:
        """How signatures of this key are made."""
        return "ed25519" if isinstance(self._key, Ed25519PublicKey) else "ecdsa-p256"

    @property
    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM, in its one canonical form."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def key_id(self) -> str:
        """The key's name in Furoshiki: SHA-256 of its SubjectPublicKeyInfo in DER, in hex."""
        return hashlib.sha256(self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()

    @property
    def hint(self) -> str:
        """The key's name in an OpenSSF Model Signing bundle: SHA-256 of its PEM, in hex (as model-signing 1.1.1 does it)."""
        return hashlib.sha256(self.pem).hexdigest()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether ``signature`` was made over exactly ``message`` by the private half of this key."""
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                self._key.verify(signature, message, ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def _unusable(got: str) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.INVALID_FIELD,
        f"The public key is {got}; expected an Ed25519 or ECDSA P-256 SubjectPublicKeyInfo in PEM.",
        details={"field": "public_key"},
    )
