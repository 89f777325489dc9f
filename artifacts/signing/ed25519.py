# SPDX-License-Identifier: Apache-2.0
"""Ed25519 (RFC 8032, pure): the algorithm of the platform. The same message always gives the same signature."""

from __future__ import annotations

from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from artifacts.signing.interface import Algorithm
from artifacts.signing.private_key import read_private_key, unusable_key, write_private_key
from artifacts.signing.public_key import PublicKey


class Ed25519Signer:
    """Signs with an Ed25519 key held in memory."""

    algorithm: Final[Algorithm] = "ed25519"

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        public = PublicKey(private_key.public_key())
        self._private_key = private_key
        self.key_id: Final = public.key_id
        self.public_key: Final = public.pem

    @classmethod
    def generate(cls) -> Self:
        """A signer with a new key from the system's random source."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Reads an unencrypted PKCS #8 key in PEM.

        Raises:
            InitError: ``INIT_001`` if it is not one. The message repeats nothing of the input.
        """
        key = read_private_key(pem)
        if not isinstance(key, Ed25519PrivateKey):
            raise unusable_key("Ed25519")
        return cls(key)

    def to_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8 in PEM. A secret: for a file that only its owner can read."""
        return write_private_key(self._private_key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of ``message``."""
        return self._private_key.sign(message)
