# SPDX-License-Identifier: Apache-2.0
"""cosign's tags: signatures, attestations and bills of materials of an image under ``sha256-<hex>.sig``, ``.att``, ``.sbom``.

What cosign and the admission controllers around it look for besides referrers. Each tag names one image manifest, each layer
of which is one signature, attestation or document; new ones are added as layers. In a layout, signatures of this kind are an
artifact of type :data:`SIGNATURES` attached to the image; :func:`tag_signatures` brings them under the tag. After
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. What the layers say is the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from artifacts.digest import Digest
from artifacts.oci.attach import Piece, fallback_tag, push_pieces
from artifacts.oci.attached import attached_in
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import Document, ImageManifest
from artifacts.oci.layout import Layout
from artifacts.oci.media import IMAGE_CONFIG
from artifacts.oci.merging import merge
from artifacts.oci.refusals import invalid_document
from artifacts.oci.registry import Repository
from core.errors import NotFound

SIGNATURES: Final = "application/vnd.dev.cosign.artifact.sig.v1+json"
MAX_PAYLOAD_BYTES: Final = 64 * 1024

# Every manifest here has this configuration, so that adding a layer needs no other; cosign reads the manifest only.
_CONFIG: Final = Piece(
    media_type=IMAGE_CONFIG,
    data=b'{"architecture":"","config":{},"os":"","rootfs":{"diff_ids":[],"type":"layers"}}',
)


class CosignKind(StrEnum):
    """The ends of cosign's tags."""

    SIGNATURE = "sig"
    ATTESTATION = "att"
    SBOM = "sbom"


def cosign_tag(subject: Digest, kind: CosignKind) -> str:
    """The tag of what cosign attaches to ``subject``."""
    return f"{fallback_tag(subject)}.{kind}"


async def add_layers(repository: Repository, subject: Digest, kind: CosignKind, pieces: Sequence[Piece]) -> Descriptor:
    """Adds layers to what cosign attaches to an image. May be done again: what is there is not added twice.

    Returns:
        The descriptor of the manifest that the tag names now.

    Raises:
        Conflict: ``OCI_005`` if other writers of the tag do not let us.
        SignatureError: ``SIGN_010`` if the tag names something else.
        FuroshikiError: As :class:`artifacts.oci.registry.Repository`.
    """
    await push_pieces(repository, (_CONFIG, *pieces))
    added = [piece.descriptor for piece in pieces]
    return await merge(repository, cosign_tag(subject, kind), lambda present: _with_layers(present, added))


async def tag_signatures(layout: Layout, subject: Digest, repository: Repository) -> None:
    """Adds the signatures that a layout holds for cosign to cosign's tag of an image in a registry.

    Raises:
        InvalidRequest: ``VALID_003`` if one is too large.
        FuroshikiError: As :func:`add_layers` and :func:`artifacts.oci.attached.attached_in`.
    """
    pieces = await asyncio.to_thread(lambda: list(_signatures(layout, subject)))
    if pieces:
        await add_layers(repository, subject, CosignKind.SIGNATURE, pieces)


async def list_layers(repository: Repository, subject: Digest, kind: CosignKind) -> tuple[Descriptor, ...]:
    """The layers that cosign's tag of an image names; none if there is no such tag.

    Raises:
        SignatureError: ``SIGN_010`` if the tag names something else.
        FuroshikiError: As :class:`artifacts.oci.registry.Repository`.
    """
    try:
        return _manifest((await repository.fetch(cosign_tag(subject, kind))).document).layers
    except NotFound:
        return ()


def _signatures(layout: Layout, subject: Digest) -> Iterator[Piece]:
    for _entry, manifest in attached_in(layout, subject):
        if manifest.artifact_type == SIGNATURES:
            for blob in manifest.layers:
                data = layout.read_blob(blob, limit=MAX_PAYLOAD_BYTES)
                yield Piece(media_type=blob.media_type, data=data, annotations=dict(blob.annotations))


def _with_layers(present: Document | None, added: Sequence[Descriptor]) -> ImageManifest | None:
    """The manifest with what was added; None if it has it all. Two layers of one content differ by their annotations."""
    manifest = ImageManifest(config=_CONFIG.descriptor, layers=()) if present is None else _manifest(present)
    layers = list(manifest.layers)
    for layer in added:
        if layer not in layers:
            layers.append(layer)
    return replace(manifest, layers=tuple(layers)) if len(layers) > len(manifest.layers) else None


def _manifest(document: Document) -> ImageManifest:
    if not isinstance(document, ImageManifest):
        raise invalid_document("mediaType", document.media_type, "an image manifest, under a tag of cosign")
    return document
