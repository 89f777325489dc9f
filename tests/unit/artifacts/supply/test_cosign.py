# SPDX-License-Identifier: Apache-2.0
"""Signatures as cosign 1 and 2 write them."""

from __future__ import annotations

import base64
import json

import pytest

from artifacts.digest import digest_bytes
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.interface import Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.public_key import PublicKey
from artifacts.supply.cosign import PAYLOAD_TYPE, SIGNATURE_ANNOTATION, simple_signature


@pytest.mark.parametrize("signer", [Ed25519Signer.generate(), EcdsaP256Signer.generate()], ids=["ed25519", "p256"])
def test_the_signature_is_over_the_payload_and_names_the_image(signer: Signer) -> None:
    """Any tool that has the public key can check it; the payload is cosign's."""
    image = digest_bytes(b"image")
    piece = simple_signature("registry.example/acme/digits", image, signer)
    critical = json.loads(piece.data)["critical"]
    assert critical["image"] == {"docker-manifest-digest": image}
    assert critical["identity"] == {"docker-reference": "registry.example/acme/digits"}
    assert critical["type"] == "cosign container image signature"
    assert piece.media_type == PAYLOAD_TYPE
    signature = base64.b64decode(piece.annotations[SIGNATURE_ANNOTATION])
    assert PublicKey.from_pem(signer.public_key).verifies(signature, piece.data)
