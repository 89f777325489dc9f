# SPDX-License-Identifier: Apache-2.0
"""Whole images between layouts and registries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.copying import Moved, pull, push
from artifacts.oci.documents import encode_document
from artifacts.oci.layout import Descriptor, ImageIndex, Layout, Platform
from artifacts.oci.media import IMAGE_INDEX, IMAGE_MANIFEST, LAYER_TAR
from artifacts.oci.testing import MemoryRegistry
from artifacts.oci.trees import MAX_DEPTH
from artifacts.oci.uploads import Way
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import AMD64, client, empty_layout, image, pattern

ARM64 = Platform(architecture="arm64", variant="v8")
BASE, MODEL = pattern(200_000, 1), pattern(300_000, 2)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Empty."""
    return empty_layout(tmp_path / "layout")


def index_of(layout: Layout, *platforms: Platform, tag: str | None = None) -> Descriptor:
    """An index with an image for each platform, over one common layer."""
    manifests = tuple(image(layout, [BASE, str(platform).encode()], platform=platform) for platform in platforms)
    return layout.put_manifest(ImageIndex(manifests=manifests), tag=tag)


async def test_an_image_goes_to_a_registry_and_comes_back(layout: Layout, tmp_path: Path) -> None:
    """With every byte, under its tag, and each counted."""
    written = image(layout, [BASE, MODEL])
    repository = client(MemoryRegistry()).repository("a")
    pushed = await push(layout, written, repository, tag="v1")
    assert pushed.sent == pushed.size > len(BASE) + len(MODEL)
    other = empty_layout(tmp_path / "other")
    pulled = await pull(repository, "v1", other, tag="mine")
    assert (pulled.sent, pulled.descriptor.digest) == (pushed.size, written.digest)
    found = other.resolve("mine")
    assert found is not None
    assert [other.read_blob(layer) for layer in other.manifest(found).layers] == [BASE, MODEL]


async def test_only_what_is_missing_travels(layout: Layout, tmp_path: Path) -> None:
    """After a change of the model its layer, and a mount elsewhere; in both directions."""
    transport, changed = MemoryRegistry(), pattern(300_001, 3)
    first, second = image(layout, [BASE, MODEL]), image(layout, [BASE, changed])
    repository, other = client(transport).repository("a"), empty_layout(tmp_path / "other")
    await push(layout, first, repository)
    await pull(repository, first.digest, other)
    assert (await push(layout, second, repository)).sent == len(changed)
    assert (await pull(repository, second.digest, other)).sent == len(changed)
    again = await push(layout, second, repository)
    assert (again.sent, set(again.ways.values())) == (0, {Way.PRESENT})
    mounted = await push(layout, second, client(transport).repository("b"), mount_from=("a",))
    assert (mounted.sent, set(mounted.ways.values())) == (0, {Way.MOUNTED})


async def test_an_index_is_copied_with_all_it_names(layout: Layout, tmp_path: Path) -> None:
    """Common layers once; the index last."""
    transport = MemoryRegistry()
    written = index_of(layout, AMD64, ARM64)
    repository, other = client(transport).repository("a"), empty_layout(tmp_path / "other")
    pushed = await push(layout, written, repository, tag="v1")
    assert len(pushed.ways) == 5
    assert next(reversed(transport.manifests)) == ("a", written.digest)
    await pull(repository, "v1", other)
    assert other.document(written) == layout.document(written)
    assert [entry.digest for entry in other.index().manifests] == [written.digest]


async def test_one_platform_is_taken_out_of_an_index(layout: Layout, tmp_path: Path) -> None:
    """Its image alone travels; a platform that is not there is named with those that are."""
    repository = client(MemoryRegistry()).repository("a")
    await push(layout, index_of(layout, AMD64, ARM64), repository, tag="v1")
    other = empty_layout(tmp_path / "other")
    pulled = await pull(repository, "v1", other, platform=Platform(architecture="arm64"))
    assert len(pulled.ways) == 3
    with refused(ErrorCode.OCI_NOT_FOUND, "linux/s390x", "linux/amd64", "linux/arm64/v8"):
        await pull(repository, "v1", other, platform=Platform(architecture="s390x"))
    with refused(ErrorCode.OCI_NOT_FOUND):
        await pull(repository, "v1", other, platform=replace(ARM64, variant="v7"))


async def test_an_image_for_another_platform_is_refused_before_it_travels(layout: Layout, tmp_path: Path) -> None:
    """Its configuration says what it is for, whatever an index says."""
    transport = MemoryRegistry()
    repository = client(transport).repository("a")
    await push(layout, image(layout, [MODEL]), repository, tag="v1")
    with refused(ErrorCode.OCI_NOT_FOUND, "linux/arm64", "linux/amd64"):
        await pull(repository, "v1", empty_layout(tmp_path / "other"), platform=Platform(architecture="arm64"))
    assert transport.counted("GET", digest_bytes(MODEL)) == 0


async def test_a_copy_that_fails_shows_nothing_and_the_next_goes_on(layout: Layout, tmp_path: Path) -> None:
    """No tag, no manifest, no entry; and what is there does not travel again."""
    transport = MemoryRegistry()
    written = image(layout, [BASE, MODEL])
    repository, other = client(transport, attempts=1).repository("a"), empty_layout(tmp_path / "other")
    transport.faults.cut_sent = [-1, -1]  # of the three blobs sent at a time, two are cut
    with refused(ErrorCode.OCI_UNREACHABLE):
        await push(layout, written, repository, tag="v1")
    assert (transport.tags, transport.manifests) == ({}, {})
    transport.faults.cut_sent = []  # the first cut may have ended the push before the second
    await push(layout, written, repository, tag="v1")
    transport.faults.cut_received = [100_000] * 3
    with refused(ErrorCode.OCI_UNREACHABLE):
        await pull(repository, "v1", other)
    assert other.index().manifests == ()
    transport.faults.cut_received = []
    assert (await pull(repository, "v1", other)).sent <= len(BASE) + len(MODEL)


async def test_a_layout_that_lacks_a_blob_is_not_pushed(layout: Layout) -> None:
    """The manifest does not go out."""
    transport = MemoryRegistry()
    written = image(layout, [MODEL])
    (layout.root / "blobs" / "sha256" / digest_bytes(MODEL)[7:]).unlink()
    with refused(ErrorCode.BLOB_NOT_FOUND):
        await push(layout, written, client(transport).repository("a"), tag="v1")
    assert transport.manifests == {}


async def test_damaged_blobs_are_found_on_either_side(layout: Layout, tmp_path: Path) -> None:
    """Before a byte is sent; and before a byte is visible."""
    transport = MemoryRegistry()
    repository, written = client(transport).repository("a"), image(layout, [MODEL])
    await push(layout, written, repository, tag="v1")
    transport.blobs["a", digest_bytes(MODEL)] = MODEL[:-1] + b"!"
    other = empty_layout(tmp_path / "other")
    with refused(ErrorCode.DIGEST_MISMATCH, digest_bytes(MODEL)):
        await pull(repository, "v1", other)
    assert other.size_of(digest_bytes(MODEL)) is None
    path = layout.root / "blobs" / "sha256" / digest_bytes(MODEL)[7:]
    path.write_bytes(MODEL[:-1] + b"!")
    elsewhere = client(MemoryRegistry()).repository("a")
    with refused(ErrorCode.DIGEST_MISMATCH, digest_bytes(MODEL)):
        await push(layout, written, elsewhere)


async def test_hostile_indexes_end(layout: Layout, tmp_path: Path) -> None:
    """Too deep, of another type or size than said, or one content with two sizes."""
    transport = MemoryRegistry()
    repository, other = client(transport).repository("a"), empty_layout(tmp_path / "other")
    written = image(layout, [MODEL])
    await push(layout, written, repository)

    def tagged(*named: Descriptor) -> Descriptor:
        data = encode_document(ImageIndex(manifests=named))
        digest = transport.put_manifest("a", "v1", data, IMAGE_INDEX)
        return Descriptor(media_type=IMAGE_INDEX, digest=digest, size=len(data))

    deep = written
    for _ in range(MAX_DEPTH + 1):
        deep = tagged(deep)
    with refused(ErrorCode.TOO_LARGE):
        await pull(repository, "v1", other)
    for wrong in (replace(written, size=written.size + 1), replace(written, media_type=IMAGE_INDEX)):
        tagged(wrong)
        with refused(ErrorCode.MANIFEST_INVALID):
            await pull(repository, "v1", other)
    manifest = layout.manifest(written)
    lying = replace(manifest, layers=(Descriptor(media_type=LAYER_TAR, digest=manifest.layers[0].digest, size=1),))
    both = transport.put_manifest("a", "x", encode_document(lying), IMAGE_MANIFEST)
    tagged(written, Descriptor(media_type=IMAGE_MANIFEST, digest=both, size=len(encode_document(lying))))
    with refused(ErrorCode.MANIFEST_INVALID):
        await pull(repository, "v1", other)
    assert other.index().manifests == ()


async def test_an_image_that_is_too_large_is_not_begun(layout: Layout, tmp_path: Path) -> None:
    """Its descriptors say so."""
    transport = MemoryRegistry()
    manifest = layout.manifest(image(layout, [MODEL]))
    huge = replace(manifest, layers=(Descriptor(media_type=LAYER_TAR, digest=digest_bytes(b"h"), size=2**50),))
    transport.put_manifest("a", "v1", encode_document(huge), IMAGE_MANIFEST)
    with refused(ErrorCode.TOO_LARGE):
        await pull(client(transport).repository("a"), "v1", empty_layout(tmp_path / "other"))
    assert transport.counted("GET", "/blobs/") == 0


async def test_progress_is_told_for_each_blob(layout: Layout, tmp_path: Path) -> None:
    """Up to its size."""
    repository, written = client(MemoryRegistry()).repository("a"), image(layout, [BASE, MODEL])
    told: list[Moved] = []
    pushed = await push(layout, written, repository, progress=told.append)
    assert {moved.digest: moved.there for moved in told} == {moved.digest: moved.size for moved in told}
    assert {moved.digest for moved in told} == set(pushed.ways)
    seen, told = told, []
    await pull(repository, written.digest, empty_layout(tmp_path / "other"), progress=told.append)
    assert {(moved.digest, moved.size) for moved in told} == {(moved.digest, moved.size) for moved in seen}
