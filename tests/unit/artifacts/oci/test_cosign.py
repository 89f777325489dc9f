# SPDX-License-Identifier: Apache-2.0
"""cosign's tags."""

from __future__ import annotations

from artifacts.digest import digest_bytes, hex_of
from artifacts.oci.attach import Piece
from artifacts.oci.cosign import CosignKind, add_layers, cosign_tag, list_layers
from artifacts.oci.documents import ImageIndex, encode_document
from artifacts.oci.media import IMAGE_INDEX
from artifacts.oci.testing import MemoryRegistry
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import client

SUBJECT = digest_bytes(b"image")
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
KEY = "dev.cosignproject.cosign/signature"


def signature(value: str) -> Piece:
    """A layer as cosign writes it: the same payload, signed by another key each time."""
    return Piece(media_type=SIMPLE, data=b"{}", annotations={KEY: value})


def test_tags_are_those_of_cosign() -> None:
    """The digest with a dash, and the kind."""
    assert cosign_tag(SUBJECT, CosignKind.SIGNATURE) == f"sha256-{hex_of(SUBJECT)}.sig"
    assert [cosign_tag(SUBJECT, kind).rpartition(".")[2] for kind in CosignKind] == ["sig", "att", "sbom"]


async def test_layers_are_added_and_listed() -> None:
    """Each once, in order; those of another kind are apart."""
    repository = client(MemoryRegistry()).repository("a")
    assert await list_layers(repository, SUBJECT, CosignKind.SIGNATURE) == ()
    for value in ("one", "two", "one"):
        await add_layers(repository, SUBJECT, CosignKind.SIGNATURE, [signature(value)])
    found = await list_layers(repository, SUBJECT, CosignKind.SIGNATURE)
    assert [layer.annotations[KEY] for layer in found] == ["one", "two"]
    assert await repository.read_blob(found[0]) == b"{}"
    assert await list_layers(repository, SUBJECT, CosignKind.ATTESTATION) == ()


async def test_a_tag_that_names_something_else_is_left_alone() -> None:
    """It is not ours."""
    transport = MemoryRegistry()
    tag = cosign_tag(SUBJECT, CosignKind.SBOM)
    digest = transport.put_manifest("a", tag, encode_document(ImageIndex(manifests=())), IMAGE_INDEX)
    with refused(ErrorCode.MANIFEST_INVALID):
        await add_layers(client(transport).repository("a"), SUBJECT, CosignKind.SBOM, [signature("x")])
    assert transport.tags["a", tag] == digest
