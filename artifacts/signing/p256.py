# SPDX-License-Identifier: Apache-2.0
"""ECDSA on P-256 with SHA-256: for a co-signature that OpenSSF's ``model_signing verify key`` accepts.

That tool knows only NIST curves. The signature is random: signing twice gives two different, equally valid bundles.
"""

from __future__ import annotations

from typing import Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key

from artifacts.signing.interface import Algorithm
from artifacts.signing.private_key import read_private_key, unusable_key, write_private_key
from artifacts.signing.public_key import PublicKey
from core.errors import ErrorCode, InitError


class EcdsaP256Signer:
    """Signs with a P-256 key held in memory."""

    algorithm: Final[Algorithm] = "ecdsa-p256"

    def __init__(self, private_key: EllipticCurvePrivateKey) -> None:
        if not isinstance(private_key.curve, SECP256R1):
            raise InitError(ErrorCode.INIT_FAILED, f"The signing key is on {private_key.curve.name}; expected P-256.")
        public = PublicKey(private_key.public_key())
        self._private_key = private_key
        self.key_id: Final = public.key_id
        self.public_key: Final = public.pem

    @classmethod
    def generate(cls) -> Self:
        """A signer with a new key from the system's random source."""
        return cls(generate_private_key(SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Reads an unencrypted PKCS #8 key in PEM.

        Raises:
            InitError: ``INIT_001`` if it is not one. The message repeats nothing of the input.
        """
        key = read_private_key(pem)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise unusable_key("P-256")
        return cls(key)

    def to_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8 in PEM. A secret: for a file that only its owner can read."""
        return write_private_key(self._private_key)

    def sign(self, message: bytes) -> bytes:
        """The DER-encoded (r, s) of ``message``, 70 to 72 bytes."""
        return self._private_key.sign(message, ECDSA(hashes.SHA256()))
