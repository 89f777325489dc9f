# SPDX-License-Identifier: Apache-2.0
"""What is attached to an image: with the referrers API and without it, alone and among other writers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.attach import Attachment, Piece, attach, attachment_manifest, fallback_tag, fetch_attached, referrers
from artifacts.oci.copying import push
from artifacts.oci.documents import encode_document, parse_document
from artifacts.oci.layout import Descriptor, ImageIndex
from artifacts.oci.media import IMAGE_INDEX
from artifacts.oci.registry import Repository
from artifacts.oci.testing import MemoryRegistry
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import client, empty_layout, image

SBOM, SIGNATURE = "application/vnd.cyclonedx+json", "application/vnd.dev.sigstore.bundle.v0.3+json"


def attachment(kind: str, data: bytes) -> Attachment:
    """One piece of that type."""
    return Attachment(artifact_type=kind, pieces=(Piece(media_type=kind, data=data),), annotations={"n": data.decode()})


@pytest.fixture
def transport() -> MemoryRegistry:
    """Empty."""
    return MemoryRegistry()


@pytest.fixture
async def subject(transport: MemoryRegistry, tmp_path: Path) -> Descriptor:
    """An image in the repository a."""
    layout = empty_layout(tmp_path)
    written = image(layout, [b"layer"])
    await push(layout, written, repository(transport), tag="v1")
    return written


def repository(transport: MemoryRegistry) -> Repository:
    """With a client of its own."""
    return client(transport).repository("a")


@pytest.mark.parametrize("api", [True, False])
async def test_what_is_attached_is_listed(transport: MemoryRegistry, subject: Descriptor, api: bool) -> None:
    """All of it, or one type; fetched with its pieces; the fallback tag is written only where it is needed."""
    transport.faults.referrers = api
    here = repository(transport)
    attached = await attach(here, subject, [attachment(SBOM, b"bom"), attachment(SIGNATURE, b"sig")])
    found = await referrers(here, subject.digest)
    assert {entry.digest for entry in found} == {entry.digest for entry in attached}
    (bom,) = await referrers(here, subject.digest, artifact_type=SBOM)
    assert (bom.digest, bom.artifact_type) == (attached[0].digest, SBOM)
    manifest = await fetch_attached(here, bom, subject.digest)
    assert await here.read_blob(manifest.layers[0]) == b"bom"
    assert (fallback_tag(subject.digest) in await here.tags()) is not api


@pytest.mark.parametrize("api", [True, False])
async def test_attaching_again_changes_nothing(transport: MemoryRegistry, subject: Descriptor, api: bool) -> None:
    """The same content is the same manifest."""
    transport.faults.referrers = api
    for _ in range(2):
        await attach(repository(transport), subject, [attachment(SBOM, b"bom")])
    assert len(await referrers(repository(transport), subject.digest)) == 1


async def test_nothing_attached_is_nothing(transport: MemoryRegistry, subject: Descriptor) -> None:
    """With the API, and without it."""
    for api in (True, False):
        transport.faults.referrers = api
        assert await referrers(repository(transport), subject.digest) == ()


async def test_several_writers_of_one_client_lose_nothing(transport: MemoryRegistry, subject: Descriptor) -> None:
    """They take turns."""
    transport.faults.referrers = False
    here = repository(transport)
    await asyncio.gather(*(attach(here, subject, [attachment(SBOM, b"%d" % number)]) for number in range(8)))
    assert len(await referrers(here, subject.digest)) == 8


@pytest.mark.parametrize("moment", ["before_tag", "after_tag"])
async def test_an_addition_that_another_writer_overwrites_is_added_again(
    transport: MemoryRegistry, subject: Descriptor, moment: str
) -> None:
    """What he wrote right before our write is lost to him, who looks again too; what he writes after it is kept."""
    transport.faults.referrers = False
    theirs = Descriptor(media_type="a/b", digest=digest_bytes(b"theirs"), size=6)
    listing = encode_document(ImageIndex(manifests=(theirs,)))

    def overwrite() -> None:
        transport.put_manifest("a", fallback_tag(subject.digest), listing, IMAGE_INDEX)

    setattr(transport.faults, moment, [overwrite])
    (ours,) = await attach(repository(transport), subject, [attachment(SBOM, b"bom")])
    found = {entry.digest for entry in await referrers(repository(transport), subject.digest)}
    assert found == ({ours.digest} if moment == "before_tag" else {ours.digest, theirs.digest})


async def test_a_tag_that_never_rests_is_left(transport: MemoryRegistry, subject: Descriptor) -> None:
    """With the code of a tag that moved."""
    transport.faults.referrers = False
    tag = fallback_tag(subject.digest)
    transport.faults.after_tag = [lambda: transport.tags.pop(("a", tag), None)] * 100  # type: ignore[list-item]
    with refused(ErrorCode.OCI_TAG_MOVED):
        await attach(repository(transport), subject, [attachment(SBOM, b"bom")])


async def test_a_list_that_lies_is_found_out(transport: MemoryRegistry, subject: Descriptor) -> None:
    """An entry that is attached to something else, is an index, or is not there."""
    here = repository(transport)
    other = await attach(
        here, Descriptor(media_type="a/b", digest=digest_bytes(b"o"), size=1), [attachment(SBOM, b"o")]
    )
    with refused(ErrorCode.SUBJECT_MISMATCH):
        await fetch_attached(here, other[0], subject.digest)
    with refused(ErrorCode.SUBJECT_MISMATCH):
        await fetch_attached(here, subject, subject.digest)
    index = (await here.put_manifest(encode_document(ImageIndex(manifests=())), IMAGE_INDEX)).descriptor
    with refused(ErrorCode.MANIFEST_INVALID):
        await fetch_attached(here, index, subject.digest)


async def test_a_fallback_tag_that_is_no_list_is_not_overwritten(
    transport: MemoryRegistry, subject: Descriptor
) -> None:
    """It is somebody's image."""
    transport.faults.referrers = False
    transport.tags["a", fallback_tag(subject.digest)] = subject.digest
    for change in (
        referrers(repository(transport), subject.digest),
        attach(repository(transport), subject, [attachment(SBOM, b"b")]),
    ):
        with refused(ErrorCode.MANIFEST_INVALID):
            await change
    assert transport.tags["a", fallback_tag(subject.digest)] == subject.digest


def test_the_same_content_is_the_same_manifest() -> None:
    """So that attaching can be done again."""
    subject = Descriptor(media_type="a/b", digest=digest_bytes(b"s"), size=1, annotations={"x": "y"})
    manifest = attachment_manifest(attachment(SBOM, b"bom"), subject)
    assert manifest == attachment_manifest(attachment(SBOM, b"bom"), subject.content)
    assert parse_document(encode_document(manifest), manifest.media_type) == manifest
