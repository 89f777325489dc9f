# SPDX-License-Identifier: Apache-2.0
"""Public keys: two algorithms, two names, nothing else."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.public_key import PublicKey
from artifacts.testing import refused
from core.errors import ErrorCode


def test_names_are_hashes_of_der_and_pem() -> None:
    """The key id hashes the DER form, the hint hashes the PEM form."""
    pem = Ed25519Signer.generate().public_key
    der = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = PublicKey.from_pem(pem)
    assert key.key_id == hashlib.sha256(der).hexdigest()
    assert key.hint == hashlib.sha256(pem).hexdigest()


def test_layout_of_pem_does_not_matter() -> None:
    """The names come from the key, not from how its PEM was laid out."""
    pem = Ed25519Signer.generate().public_key.decode()
    assert PublicKey.from_pem("comment\n" + pem + "\n").hint == PublicKey.from_pem(pem).hint


def test_rfc_8032_vector() -> None:
    """Test 2 of RFC 8032 section 7.1 verifies."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert PublicKey(Ed25519PublicKey.from_public_bytes(public)).verifies(signature, b"\x72")


def test_algorithms_are_not_confused() -> None:
    """A signature of one algorithm never verifies under a key of the other."""
    edwards, nist = Ed25519Signer.generate(), EcdsaP256Signer.generate()
    assert not PublicKey.from_pem(nist.public_key).verifies(edwards.sign(b"m"), b"m")
    assert not PublicKey.from_pem(edwards.public_key).verifies(nist.sign(b"m"), b"m")


def spki(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        spki(ec.generate_private_key(ec.SECP384R1())),
        spki(rsa.generate_private_key(65537, 2048)),
        Ed25519Signer.generate().to_pem(),
    ],
    ids=["empty", "garbage", "p384", "rsa", "private"],
)
def test_other_keys_are_refused(pem: bytes) -> None:
    """Anything but an Ed25519 or P-256 public key is refused."""
    with refused(ErrorCode.INVALID_FIELD, "expected an Ed25519 or ECDSA P-256"):
        PublicKey.from_pem(pem)
