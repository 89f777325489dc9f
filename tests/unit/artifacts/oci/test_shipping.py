# SPDX-License-Identifier: Apache-2.0
"""Images with what is attached to them, as one."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from artifacts.oci.attach import referrers
from artifacts.oci.layout import ImageIndex
from artifacts.oci.reference import parse_reference
from artifacts.oci.shipping import image_in, pull_whole, push_whole
from artifacts.oci.testing import MemoryRegistry
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource
from artifacts.stores.testing import refused
from artifacts.supply.modelpack import ARTIFACT_TYPE, MODEL_PATH
from artifacts.supply.testing import make_image
from core.clock import ManualClock
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import client, empty_layout, image

REFERENCE = parse_reference("registry.test/acme/digits:3")


@pytest.mark.parametrize("api", [True, False])
async def test_an_image_goes_and_comes_back_whole(tmp_path: Path, api: bool) -> None:
    """Signed as it was; a second time nothing travels either way; the copy has a name."""
    described, transport = make_image(tmp_path / "made"), MemoryRegistry()
    transport.faults.referrers = api
    repository, other = client(transport).repository("acme/digits"), empty_layout(tmp_path / "other")
    first = await push_whole(described.layout, described.image, repository, tag="3")
    again = await push_whole(described.layout, described.image, repository, tag="3")
    pulled = await pull_whole(repository, REFERENCE, other)
    resumed = await pull_whole(repository, REFERENCE, other)
    assert len(first.attached) == len(pulled.attached) == 5
    assert 0 < first.sent <= first.size
    assert (again.sent, again.skipped) == (0, again.size)
    assert (resumed.sent, pulled.sent > 0) == (0, True)
    assert image_in(other).digest == image_in(other, "image").digest == described.image.digest
    described.layout, described.image = other, image_in(other)
    assert described.verify().image == described.image.digest


@pytest.mark.parametrize("api", [True, False])
async def test_the_model_of_an_image_travels_once(tmp_path: Path, api: bool) -> None:
    """Attached as an artifact of its own it costs a few hundred bytes; what arrives verifies."""
    described, transport = make_image(tmp_path / "made", packed=True), MemoryRegistry()
    transport.faults.referrers = api
    repository = client(transport).repository("acme/digits")
    layer = described.layout.manifest(described.image).layers[-1]
    shipped = await push_whole(described.layout, described.image, repository)
    (listed,) = await referrers(repository, described.image.digest, artifact_type=ARTIFACT_TYPE)
    (pack,) = [copied for copied in shipped.attached if copied.descriptor.digest == listed.digest]
    assert layer.digest not in pack.ways
    assert pack.sent == pack.size < 1_000
    reference = parse_reference(f"registry.test/acme/digits@{described.image.digest}")
    whole = empty_layout(tmp_path / "whole")
    pulled = await pull_whole(repository, reference, whole)
    assert pulled.sent > 0
    assert transport.counted("GET", f"/blobs/{layer.digest}") == 1
    assert whole.manifest(listed).layers[0].digest == layer.digest
    described.layout, described.image = whole, image_in(whole)
    assert described.verify().image == described.image.digest


async def test_the_model_of_an_image_is_had_without_the_image(tmp_path: Path) -> None:
    """By the digest of its artifact: one layer, with the signed bundle in it."""
    described, transport = make_image(tmp_path / "made", packed=True), MemoryRegistry()
    repository, alone = client(transport).repository("a"), empty_layout(tmp_path / "alone")
    await push_whole(described.layout, described.image, repository)
    (listed,) = await referrers(repository, described.image.digest, artifact_type=ARTIFACT_TYPE)
    await pull_whole(repository, parse_reference(f"registry.test/a@{listed.digest}"), alone)
    (layer,) = alone.manifest(alone.index().manifests[0]).layers
    with tarfile.open(fileobj=alone.open_blob(layer), mode="r:gz") as tar:
        for path, data in {member.name: tar.extractfile(member) for member in tar if member.isfile()}.items():
            assert data is not None
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data.read())
    verified = BundleVerifier(described.policy, ManualClock()).verify(
        DirectorySource(tmp_path / MODEL_PATH), subject=described.subject, retain=False
    )
    assert verified.manifest.digest == described.bento.parent


async def test_the_tag_comes_last(tmp_path: Path) -> None:
    """Whoever finds the image by its tag finds its signature too."""
    described, transport = make_image(tmp_path / "made"), MemoryRegistry()
    repository = client(transport).repository("a")
    seen: list[int] = []

    def look() -> None:
        attached = [data for (_, data) in transport.manifests.values() if b'"subject"' in data]
        seen.append(len(attached))

    transport.faults.before_tag = [look]
    await push_whole(described.layout, described.image, repository, tag="3")
    assert seen[-1] == 5
    assert len(await referrers(repository, described.image.digest)) == 5


async def test_a_reference_that_names_no_image_is_not_guessed(tmp_path: Path) -> None:
    """Not even as ``latest``."""
    repository = client(MemoryRegistry()).repository("a")
    with refused(ErrorCode.INVALID_FIELD, "names no image"):
        await pull_whole(repository, parse_reference("registry.test/a"), empty_layout(tmp_path))


def test_the_image_of_a_layout_is_found(tmp_path: Path) -> None:
    """The only one, or by name or digest; what is attached to it is none."""
    layout = empty_layout(tmp_path)
    with refused(ErrorCode.INVALID_FIELD, "0 images"):
        image_in(layout)
    first = image(layout, [b"one"], tag="v1")
    assert image_in(layout).digest == first.digest
    second = image(layout, [b"two"], tag="v2")
    with refused(ErrorCode.INVALID_FIELD, "2 images"):
        image_in(layout)
    assert image_in(layout, "v2").digest == image_in(layout, second.digest).digest == second.digest
    with refused(ErrorCode.BLOB_NOT_FOUND, "v3"):
        image_in(layout, "v3")


def test_attached_things_that_the_index_does_not_tell_are_seen(tmp_path: Path) -> None:
    """By their subject; an index of several images counts as one."""
    described = make_image(tmp_path / "made")
    layout = described.layout
    for entry in layout.index().manifests:
        if entry.artifact_type is not None:
            layout.remove(entry.digest)
            layout.add(entry.content)
    assert image_in(layout).digest == described.image.digest
    alone = empty_layout(tmp_path / "index")
    part = image(alone, [b"one"])
    alone.remove(part.digest)
    written = alone.put_manifest(ImageIndex(manifests=(part,)))
    assert image_in(alone).digest == written.digest
