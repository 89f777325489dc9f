# SPDX-License-Identifier: Apache-2.0
"""Signatures as cosign 1 and 2 write them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.cosign import CosignKind, list_layers
from artifacts.oci.shipping import push_whole
from artifacts.oci.testing import MemoryRegistry
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.interface import Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.public_key import PublicKey
from artifacts.supply.cosign import PAYLOAD_TYPE, SIGNATURE_ANNOTATION, simple_signature
from artifacts.supply.describing import describe_image
from artifacts.supply.testing import make_image
from tests.unit.artifacts.oci.images import client


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


async def test_a_pushed_image_is_signed_under_the_tag_of_cosign(tmp_path: Path) -> None:
    """By both keys over its digest, once each, however often it is pushed."""
    made, transport, other = make_image(tmp_path), MemoryRegistry(), EcdsaP256Signer.generate()
    describe_image(made.layout, made.image, made.making, made.signer, co_signer=other)
    repository = client(transport).repository("acme/digits")
    for _ in range(2):
        await push_whole(made.layout, made.image, repository)
    found = await list_layers(repository, made.image.digest, CosignKind.SIGNATURE)
    assert len({layer.annotations[SIGNATURE_ANNOTATION] for layer in found}) == len(found) == 2
    for layer, key in zip(found, (made.signer.public_key, other.public_key), strict=True):
        payload = await repository.read_blob(layer)
        assert json.loads(payload)["critical"]["image"]["docker-manifest-digest"] == made.image.digest
        signature = base64.b64decode(layer.annotations[SIGNATURE_ANNOTATION])
        assert PublicKey.from_pem(key).verifies(signature, payload)
