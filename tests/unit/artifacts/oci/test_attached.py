# SPDX-License-Identifier: Apache-2.0
"""What is attached to an image goes where the image goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.attach import Attachment, Piece, attachment_manifest, fallback_tag, referrers
from artifacts.oci.attached import MAX_ATTACHED, MAX_ATTACHED_BYTES, pull_attached, push_attached
from artifacts.oci.copying import pull, push
from artifacts.oci.documents import encode_document
from artifacts.oci.layout import Descriptor, ImageIndex, Layout
from artifacts.oci.media import EMPTY, EMPTY_BYTES, IMAGE_INDEX, IMAGE_MANIFEST
from artifacts.oci.testing import MemoryRegistry
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import client, empty_layout, image

KIND = "application/vnd.dev.sigstore.bundle.v0.3+json"


def attach_here(layout: Layout, subject: Descriptor, data: bytes) -> Descriptor:
    """What a builder does in a layout."""
    layout.put_bytes(EMPTY_BYTES, media_type=EMPTY)
    piece = Piece(media_type=KIND, data=data)
    layout.put_bytes(data, media_type=KIND)
    attachment = Attachment(artifact_type=KIND, pieces=(piece,), annotations={"n": data.decode()})
    return layout.put_manifest(attachment_manifest(attachment, subject))


@pytest.mark.parametrize("api", [True, False])
async def test_attachments_go_to_a_registry_and_come_back(tmp_path: Path, api: bool) -> None:
    """Those of this image, with type and annotations; again changes nothing; the layout has them as entries."""
    transport = MemoryRegistry()
    transport.faults.referrers = api
    repository = client(transport).repository("a")
    layout, other = empty_layout(tmp_path / "one"), empty_layout(tmp_path / "two")
    subject, another = image(layout, [b"layer"], tag="v1"), image(layout, [b"other"])
    expected = {attach_here(layout, subject, data).digest for data in (b"sbom", b"signature")}
    attach_here(layout, another, b"elsewhere")
    await push(layout, subject, repository, tag="v1")
    for _ in range(2):
        assert {
            copied.descriptor.digest for copied in await push_attached(layout, subject.digest, repository)
        } == expected
    listed = await referrers(repository, subject.digest, artifact_type=KIND)
    assert {entry.digest for entry in listed} == expected
    assert (fallback_tag(subject.digest) in await repository.tags()) is not api
    await pull(repository, "v1", other, tag="v1")
    for _ in range(2):
        assert {
            copied.descriptor.digest for copied in await pull_attached(repository, subject.digest, other)
        } == expected
    assert {entry.digest for entry in other.index().manifests} == {subject.digest, *expected}
    found = {
        other.read_blob(other.manifest(entry).layers[0])
        for entry in other.index().manifests
        if entry.digest in expected
    }
    assert found == {b"sbom", b"signature"}


async def test_nothing_attached_is_nothing(tmp_path: Path) -> None:
    """And no tag is written."""
    transport = MemoryRegistry()
    transport.faults.referrers = False
    repository, layout = client(transport).repository("a"), empty_layout(tmp_path)
    subject = image(layout, [b"layer"])
    await push(layout, subject, repository)
    assert await push_attached(layout, subject.digest, repository) == ()
    assert await pull_attached(repository, subject.digest, layout) == ()
    assert await repository.tags() == []


async def test_too_much_is_not_taken(tmp_path: Path) -> None:
    """Neither too many things nor too many bytes."""
    transport = MemoryRegistry()
    transport.faults.referrers = False
    repository, layout = client(transport).repository("a"), empty_layout(tmp_path)
    subject = image(layout, [b"layer"])
    tag = fallback_tag(subject.digest)

    def listing(*entries: Descriptor) -> None:
        transport.put_manifest("a", tag, encode_document(ImageIndex(manifests=entries)), IMAGE_INDEX)

    many = (
        Descriptor(media_type=IMAGE_MANIFEST, digest=digest_bytes(b"%d" % n), size=1) for n in range(MAX_ATTACHED + 1)
    )
    listing(*many)
    with refused(ErrorCode.TOO_LARGE):
        await pull_attached(repository, subject.digest, layout)
    small = attachment_manifest(Attachment(artifact_type=KIND, pieces=(Piece(media_type=KIND, data=b"x"),)), subject)
    huge = encode_document(replace(small, layers=(replace(small.layers[0], size=2**40),)))
    listing(
        Descriptor(
            media_type=IMAGE_MANIFEST, digest=transport.put_manifest("a", "h", huge, IMAGE_MANIFEST), size=len(huge)
        )
    )
    with refused(ErrorCode.TOO_LARGE):
        await pull_attached(repository, subject.digest, layout)
    assert transport.counted("GET", "/blobs/") == 0


async def test_a_layer_of_the_image_is_not_counted_among_what_is_attached(tmp_path: Path) -> None:
    """However large: it comes with the image, within the image's own limit."""
    transport = MemoryRegistry()
    repository, layout = client(transport).repository("a"), empty_layout(tmp_path)
    subject = image(layout, [b"layer"])
    small = attachment_manifest(Attachment(artifact_type=KIND, pieces=(Piece(media_type=KIND, data=b"x"),)), subject)
    large = replace(small.layers[0], size=MAX_ATTACHED_BYTES + 1)
    attach_here(layout, subject, b"sbom")
    await push(layout, subject, repository)
    await push_attached(layout, subject.digest, repository)
    listed = transport.put_manifest("a", "x", encode_document(replace(small, layers=(large,))), IMAGE_MANIFEST)
    with refused(ErrorCode.TOO_LARGE):
        await pull_attached(repository, subject.digest, layout)
    taken = await pull_attached(repository, subject.digest, layout, known={large.digest})
    assert {copied.descriptor.digest: copied.size for copied in taken}[listed] == len(EMPTY_BYTES)
    assert transport.counted("GET", large.digest) == 0
