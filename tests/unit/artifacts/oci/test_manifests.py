# SPDX-License-Identifier: Apache-2.0
"""Manifests and tags of a registry."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.access import Access
from artifacts.oci.copying import push
from artifacts.oci.documents import encode_document
from artifacts.oci.layout import Descriptor, ImageIndex
from artifacts.oci.media import IMAGE_INDEX, IMAGE_MANIFEST
from artifacts.oci.patience import Patience
from artifacts.oci.registry import Registry, Repository
from artifacts.oci.testing import MemoryRegistry, answered
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import Pauses, client, empty_layout, image

EMPTY_INDEX = encode_document(ImageIndex(manifests=()))


async def pushed(
    transport: MemoryRegistry, folder: Path, layer: bytes = b"x", tag: str | None = "v1"
) -> tuple[Repository, Descriptor]:
    """A repository with one image."""
    repository = client(transport).repository("a")
    layout = empty_layout(folder)
    written = image(layout, [layer])
    await push(layout, written, repository, tag=tag)
    return repository, written


async def test_a_manifest_is_fetched_by_digest_and_by_tag(tmp_path: Path) -> None:
    """Both give the same bytes, whose digest is counted and not believed."""
    repository, written = await pushed(MemoryRegistry(), tmp_path)
    by_tag, by_digest = await repository.fetch("v1"), await repository.fetch(written.digest)
    assert by_tag == by_digest
    assert by_tag.descriptor == written.content
    assert digest_bytes(by_tag.data) == written.digest


async def test_other_bytes_than_asked_for_are_refused(tmp_path: Path) -> None:
    """Whether the digest was asked for, or a header says it."""
    transport = MemoryRegistry()
    repository, written = await pushed(transport, tmp_path)
    transport.faults.damage = True
    for reference in ("v1", written.digest):
        with refused(ErrorCode.DIGEST_MISMATCH):
            await repository.fetch(reference)


async def test_a_manifest_of_another_type_than_its_header_says_is_refused(tmp_path: Path) -> None:
    """The same bytes are not once a manifest and once an index."""
    transport = MemoryRegistry()
    repository, written = await pushed(transport, tmp_path)
    data = transport.manifests["a", written.digest][1]
    for media_type in (IMAGE_INDEX, "text/html", "application/json"):
        transport.manifests["a", written.digest] = (media_type, data)
        with refused(ErrorCode.MANIFEST_INVALID):
            await repository.fetch("v1")


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """Tags, digests and repositories alike."""
    repository, _ = await pushed(MemoryRegistry(), tmp_path)
    for reference in ("v2", digest_bytes(b"y")):
        with refused(ErrorCode.OCI_NOT_FOUND, reference):
            await repository.fetch(reference)
    assert await repository.resolve("v2") is None


@pytest.mark.parametrize("reference", ["../x", "a/b", "sha256:12", "sha512:" + "0" * 128, "", "a?b"])
async def test_what_is_no_reference_is_not_asked_for(reference: str) -> None:
    """Nothing is sent."""
    transport = MemoryRegistry()
    with refused(ErrorCode.INVALID_FIELD):
        await client(transport).repository("a").fetch(reference)
    assert transport.requests == []


async def test_a_tag_is_moved_from_where_it_is_expected(tmp_path: Path) -> None:
    """New, moved, and not touched if it is there already."""
    transport = MemoryRegistry()
    repository, first = await pushed(transport, tmp_path / "1", tag=None)
    _, second = await pushed(transport, tmp_path / "2", b"y", tag=None)
    one, two = await repository.fetch(first.digest), await repository.fetch(second.digest)
    await repository.move_tag("v1", one, expected=None)
    await repository.move_tag("v1", two, expected=first.digest)
    assert await repository.resolve("v1") == second.digest
    writes = transport.counted("PUT")
    await repository.move_tag("v1", two, expected=None)
    assert transport.counted("PUT") == writes


async def test_a_tag_that_is_elsewhere_is_not_moved(tmp_path: Path) -> None:
    """The error says where it is."""
    transport = MemoryRegistry()
    repository, first = await pushed(transport, tmp_path / "1")
    _, second = await pushed(transport, tmp_path / "2", b"y", tag=None)
    two = await repository.fetch(second.digest)
    for expected in (None, second.digest[:-1] + "0"):
        with refused(ErrorCode.OCI_TAG_MOVED, first.digest):
            await repository.move_tag("v1", two, expected=expected)
    assert await repository.resolve("v1") == first.digest


async def test_a_tag_that_is_moved_after_us_is_noticed(tmp_path: Path) -> None:
    """Somebody who comes last is seen."""
    transport = MemoryRegistry()
    repository, first = await pushed(transport, tmp_path)
    transport.put_manifest("a", "other", EMPTY_INDEX, IMAGE_INDEX)
    transport.faults.after_tag = [lambda: transport.tags.update({("a", "v1"): first.digest})]
    with refused(ErrorCode.OCI_TAG_MOVED):
        await repository.move_tag("v1", await repository.fetch("other"), expected=first.digest)


async def test_tags_are_listed_over_all_pages(tmp_path: Path) -> None:
    """Sorted; none for an empty list."""
    transport = MemoryRegistry()
    repository, _ = await pushed(transport, tmp_path, tag=None)
    assert await repository.tags() == []
    transport.faults.pages = 2
    names = [f"v{number}" for number in range(7)]
    for name in names:
        transport.put_manifest("a", name, EMPTY_INDEX, IMAGE_INDEX)
    assert await repository.tags() == names


async def test_a_listing_that_never_ends_is_left() -> None:
    """A registry whose next page is the same page."""
    transport = MemoryRegistry()
    transport.faults.statuses = [(200, {"link": '</v2/a/tags/list>; rel="next"'})] * 2
    with refused(ErrorCode.MANIFEST_INVALID):
        await client(transport).repository("a").tags()


async def test_manifests_blobs_and_tags_are_deleted(tmp_path: Path) -> None:
    """Once gone, deleting them does nothing."""
    transport = MemoryRegistry()
    repository, written = await pushed(transport, tmp_path)
    await repository.put_manifest(transport.manifests["a", written.digest][1], IMAGE_MANIFEST, tag="v2")
    await repository.delete_manifest("v2")
    assert await repository.tags() == ["v1"]
    blob = next(digest for _, digest in transport.blobs)
    for _ in range(2):
        await repository.delete_manifest(written.digest)
        await repository.delete_blob(blob)
    assert (await repository.tags(), await repository.blob_size(blob)) == ([], None)


async def test_a_manifest_whose_blobs_are_missing_is_refused_by_the_registry() -> None:
    """Its reason is shown."""
    blob = {"mediaType": "a/b", "digest": digest_bytes(b"x"), "size": 1}
    data = json.dumps({"schemaVersion": 2, "config": blob, "layers": []}).encode()
    with refused(ErrorCode.OCI_REFUSED, "MANIFEST_BLOB_UNKNOWN"):
        await client(MemoryRegistry()).repository("a").put_manifest(data, IMAGE_MANIFEST)


async def test_a_registry_that_was_disturbed_is_asked_again() -> None:
    """docker-registry 2.8 counts another digest when two writers move one tag; ours is known to be right."""
    body = b'{"errors": [{"code": "DIGEST_INVALID", "message": "provided digest did not match"}]}'
    left = [1, 1]

    def answer(request: httpx.Request) -> httpx.Response:
        if left:
            left.pop()
            return answered(400, body)
        return answered(201)

    access = Access(patience=Patience(attempts=3, pause=Pauses()))
    registry = Registry("registry.test", access, transport=httpx.MockTransport(answer))
    await registry.repository("a").put_manifest(EMPTY_INDEX, IMAGE_INDEX)
    left = [1] * 3
    with refused(ErrorCode.OCI_UNREACHABLE, "DIGEST_INVALID"):
        await registry.repository("a").put_manifest(EMPTY_INDEX, IMAGE_INDEX)


async def test_a_wrong_tag_is_refused_before_anything_is_written() -> None:
    """Not even the manifest."""
    transport = MemoryRegistry()
    with refused(ErrorCode.INVALID_FIELD):
        await client(transport).repository("a").put_manifest(EMPTY_INDEX, IMAGE_INDEX, tag="a/b")
    assert transport.requests == []
