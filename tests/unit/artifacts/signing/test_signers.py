# SPDX-License-Identifier: Apache-2.0
"""What each signer adds to the suite: determinism, and which private keys it takes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.testing import refused
from core.errors import ErrorCode, InitError


def test_ed25519_is_deterministic() -> None:
    """The same key gives the same 64 bytes for the same message."""
    signer = Ed25519Signer.generate()
    assert signer.sign(b"m") == signer.sign(b"m")
    assert len(signer.sign(b"m")) == 64


def test_p256_writes_der() -> None:
    """An ECDSA signature is a DER sequence."""
    assert EcdsaP256Signer.generate().sign(b"m")[0] == 0x30


@pytest.mark.parametrize(
    "pem", [b"", b"garbage", EcdsaP256Signer.generate().to_pem()], ids=["empty", "garbage", "p256"]
)
def test_ed25519_refuses_other_keys(pem: bytes) -> None:
    """A file that holds no Ed25519 key is refused."""
    with refused(ErrorCode.INIT_FAILED, "Ed25519"):
        Ed25519Signer.from_pem(pem)


@pytest.mark.parametrize(
    "pem", [b"", b"garbage", Ed25519Signer.generate().to_pem()], ids=["empty", "garbage", "ed25519"]
)
def test_p256_refuses_other_keys(pem: bytes) -> None:
    """A file that holds no P-256 key is refused."""
    with refused(ErrorCode.INIT_FAILED, "P-256"):
        EcdsaP256Signer.from_pem(pem)


def test_p256_refuses_other_curves() -> None:
    """A key on another curve is refused by name."""
    with refused(ErrorCode.INIT_FAILED, "secp384r1"):
        EcdsaP256Signer(ec.generate_private_key(ec.SECP384R1()))


def test_refusal_repeats_nothing_of_the_key() -> None:
    """The error for a damaged key file shows none of its content."""
    damaged = Ed25519Signer.generate().to_pem().replace(b"MC4", b"SECRET")
    with pytest.raises(InitError) as caught:
        Ed25519Signer.from_pem(damaged)
    assert "SECRET" not in str(caught.value) + repr(caught.value.log_context)
