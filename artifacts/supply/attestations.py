# SPDX-License-Identifier: Apache-2.0
"""Signed statements about an image: its signature, its SBOM, its provenance.

Each is a Sigstore bundle v0.3 around a DSSE envelope around an in-toto Statement v1, signed with a bare key as everything
here is (:mod:`artifacts.signing.bundle`), and lies beside the image as an artifact whose ``subject`` is the image: what
cosign 3 writes and OCI registries list as referrers. The predicate type keeps the kinds apart.

Law: ``read_attestation(attest(image, kind, predicate, signer), kind, image, verifier) == predicate``, and it refuses another
image, another kind and another key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

import rfc8785

from artifacts.digest import Digest, hex_of
from artifacts.oci.attach import Attachment, Piece, attachment_manifest
from artifacts.oci.documents import ImageManifest, strict_json
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import EMPTY, EMPTY_BYTES
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES, MEDIA_TYPE, seal
from artifacts.signing.interface import Signer
from artifacts.signing.statement import STATEMENT_TYPE, invalid_signature
from artifacts.signing.verifier import BundleVerifier

PREDICATE_ANNOTATION: Final = "dev.sigstore.bundle.predicateType"
_CONTENT_ANNOTATION: Final = "dev.sigstore.bundle.content"


class Kind(StrEnum):
    """Predicate types; the comment on each line is what is stated."""

    SIGNATURE = "https://sigstore.dev/cosign/sign/v1"  # this is the image we made, and no more
    SBOM = "https://cyclonedx.org/bom"  # it holds this
    PROVENANCE = "https://slsa.dev/provenance/v1"  # it was made of this, by this, then


def attest(image: Digest, kind: Kind, predicate: Mapping[str, Any], signer: Signer) -> bytes:
    """A signed statement about an image. May ask another machine, so this blocks."""
    return seal(
        rfc8785.dumps(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": "", "digest": {"sha256": hex_of(image)}}],
                "predicateType": kind,
                "predicate": dict(predicate),
            }
        ),
        signer,
    )


def read_attestation(data: bytes, kind: Kind, image: Digest, verifier: BundleVerifier) -> dict[str, Any]:
    """The predicate of a signed statement about ``image``.

    Raises:
        SignatureError: A ``SIGN_*`` code if no trusted key signed it, or it says something else.
    """
    envelope = verifier.verify_envelope(data, name=str(kind))
    statement = strict_json(envelope.payload)
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT_TYPE:
        raise invalid_signature("_type", "something else", STATEMENT_TYPE)
    if statement.get("predicateType") != kind:
        raise invalid_signature("predicateType", statement.get("predicateType"), kind)
    if statement.get("subject") != [{"name": "", "digest": {"sha256": hex_of(image)}}]:
        raise invalid_signature("subject", statement.get("subject"), f"the image {image} alone")
    predicate = statement.get("predicate")
    return predicate if isinstance(predicate, dict) else {}


def attachment_of(kind: Kind, attestation: bytes) -> Attachment:
    """A signed statement as what is attached to the image: in its layout or, later, in a registry."""
    return Attachment(
        artifact_type=MEDIA_TYPE,
        pieces=(Piece(media_type=MEDIA_TYPE, data=attestation),),
        annotations={_CONTENT_ANNOTATION: "dsse-envelope", PREDICATE_ANNOTATION: str(kind)},
    )


def put_attachment(layout: Layout, image: Descriptor, attachment: Attachment) -> Descriptor:
    """Lays an attachment beside the image in its layout; returns the artifact's descriptor.

    Raises:
        Unavailable: ``STORE_004`` if the disk is full.
    """
    layout.put_bytes(EMPTY_BYTES, media_type=EMPTY)
    for piece in attachment.pieces:
        layout.put_bytes(piece.data, media_type=piece.media_type)
    return layout.put_manifest(attachment_manifest(attachment, image))


def attached(layout: Layout, image: Digest, artifact_type: str) -> Iterator[ImageManifest]:
    """The artifacts of a type that lie beside an image in its layout.

    Raises:
        SignatureError: ``SIGN_004`` or ``SIGN_010`` if one cannot be read.
    """
    for entry in layout.index().manifests:
        if entry.artifact_type == artifact_type:
            manifest = layout.manifest(entry)
            if manifest.subject is not None and manifest.subject.digest == image:
                yield manifest


def attestations(layout: Layout, image: Digest, kind: Kind) -> Iterator[bytes]:
    """The statements of a kind that lie beside an image, unverified.

    Raises:
        SignatureError: ``SIGN_004`` or ``SIGN_010`` if one cannot be read.
        InvalidRequest: ``VALID_003`` if one is too large.
    """
    for manifest in attached(layout, image, MEDIA_TYPE):
        if manifest.annotations.get(PREDICATE_ANNOTATION) == kind:
            for blob in manifest.layers:
                yield layout.read_blob(blob, limit=MAX_SIGNATURE_BYTES)
