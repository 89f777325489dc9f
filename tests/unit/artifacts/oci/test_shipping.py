# SPDX-License-Identifier: Apache-2.0
"""Images with what is attached to them, as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.oci.attach import referrers
from artifacts.oci.layout import ImageIndex
from artifacts.oci.reference import parse_reference
from artifacts.oci.shipping import image_in, pull_whole, push_whole
from artifacts.oci.testing import MemoryRegistry
from artifacts.stores.testing import refused
from artifacts.supply.testing import make_image
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
