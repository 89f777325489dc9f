# SPDX-License-Identifier: Apache-2.0
"""The port of whoever holds a private key. The verifying side needs none of it; see :mod:`artifacts.signing.public_key`."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

Algorithm: TypeAlias = Literal["ed25519", "ecdsa-p256"]


class Signer(Protocol):
    """Signs messages with one private key that never leaves it."""

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's SubjectPublicKeyInfo in DER: 64 hex digits."""
        ...

    @property
    def algorithm(self) -> Algorithm:
        """How :meth:`sign` signs."""
        ...

    @property
    def public_key(self) -> bytes:
        """The public key: SubjectPublicKeyInfo in PEM."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature of ``message``: 64 bytes for Ed25519, DER (r, s) over SHA-256 for ECDSA."""
        ...
