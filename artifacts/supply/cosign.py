# SPDX-License-Identifier: Apache-2.0
"""The signature of an image as cosign 1 and 2 look for it, under the tag ``sha256-<hex>.sig`` (:mod:`artifacts.oci.cosign`).

A "simple signing" payload names reference and digest; the signature over its bytes stands in an annotation. It says no more
than the bundle of :mod:`artifacts.supply.attestations` and is for tools that do not read that; ours read the bundle alone.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import rfc8785

from artifacts.digest import Digest
from artifacts.oci.attach import Attachment, Piece
from artifacts.oci.cosign import SIGNATURES
from artifacts.signing.interface import Signer

PAYLOAD_TYPE: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION: Final = "dev.cosignproject.cosign/signature"


def cosign_attachment(name: str, image: Digest, signers: Sequence[Signer]) -> Attachment:
    """Signatures of an image by each signer, to lie beside it in a layout until it is pushed. Blocks.

    Args:
        name: What the image is called; cosign shows it and does not hold it against where the image is.
        image: Digest of its manifest.
        signers: Who signs.
    """
    return Attachment(
        artifact_type=SIGNATURES, pieces=tuple(simple_signature(name, image, signer) for signer in signers)
    )


def simple_signature(reference: str, image: Digest, signer: Signer) -> Piece:
    """A signature for cosign's tag. May ask another machine, so this blocks.

    Args:
        reference: What the image is called.
        image: Digest of its manifest.
        signer: Ed25519 or P-256; ``cosign verify --key`` takes the public key of either.
    """
    payload = rfc8785.dumps(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": image},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    signature = base64.b64encode(signer.sign(payload)).decode()
    return Piece(media_type=PAYLOAD_TYPE, data=payload, annotations={SIGNATURE_ANNOTATION: signature})
