# SPDX-License-Identifier: Apache-2.0
"""Private keys in files: unencrypted PKCS #8 in PEM. What protects them is the file's mode, or the vault that holds them."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from core.errors import ErrorCode, InitError


def read_private_key(pem: bytes) -> object | None:
    """The key written in ``pem``, of whatever kind; None if there is none or it is encrypted."""
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def unusable_key(expected: str) -> InitError:
    """The error for a key of another kind: ``INIT_001``. It repeats nothing of what was read."""
    return InitError(
        ErrorCode.INIT_FAILED, f"The signing key is not an unencrypted {expected} key in PKCS #8 PEM; replace it."
    )


def write_private_key(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> bytes:
    """The key as PEM. A secret: for a file that only its owner can read."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
