# SPDX-License-Identifier: Apache-2.0
"""cosign's tags: signatures, attestations and bills of materials of an image under ``sha256-<hex>.sig``, ``.att``, ``.sbom``.

What cosign and the admission controllers around it look for besides referrers. Each tag names one image manifest, each layer
of which is one signature, attestation or document; new ones are added as layers. After
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. What the layers say is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from artifacts.digest import Digest
from artifacts.oci.attach import Piece, fallback_tag, push_pieces
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import Document, ImageManifest
from artifacts.oci.media import IMAGE_CONFIG
from artifacts.oci.merging import merge
from artifacts.oci.refusals import invalid_document
from artifacts.oci.registry import Repository
from core.errors import NotFound

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


def _with_layers(present: Document | None, added: Sequence[Descriptor]) -> ImageManifest | None:
    """The manifest with what was added; None if it has it all. Two layers of one content differ by their annotations."""
    if present is None:
        return ImageManifest(config=_CONFIG.descriptor, layers=tuple(added))
    manifest = _manifest(present)
    missing = [layer for layer in added if layer not in manifest.layers]
    return replace(manifest, layers=(*manifest.layers, *missing)) if missing else None


def _manifest(document: Document) -> ImageManifest:
    if not isinstance(document, ImageManifest):
        raise invalid_document("mediaType", document.media_type, "an image manifest, under a tag of cosign")
    return document
