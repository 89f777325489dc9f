# SPDX-License-Identifier: Apache-2.0
"""An image between its layout and the blob store. Law: what is fetched is the layout that was stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from artifacts.oci.media import IMAGE_INDEX
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.objects import ObjectBlobStore
from artifacts.supply.testing import BASE, Described, make_image
from core.clock import ManualClock
from core.errors import ErrorCode, NotFound, SignatureError, StoreError
from registry_api.images.builders.spec import ImageResult
from registry_api.images.fetching import fetch_image, verify_fetched
from registry_api.images.storing import Stored, image_blobs, store_image
from registry_api.images.values import MadeImage


def result_of(described: Described) -> ImageResult:
    manifest = described.layout.manifest(described.image)
    layers: tuple[Mapping[str, str | int | bool], ...] = tuple(
        {"name": name, "digest": blob.digest, "size": blob.size, "plain": 0, "cached": name == "base"}
        for name, blob in zip(("base", "other"), manifest.layers, strict=True)
    )
    return ImageResult(
        digest=described.image.digest,
        size=described.image.size,
        base=BASE,
        builder="layers",
        builder_version="1",
        reason="asked for",
        layers=layers,
        seconds={},
    )


def made_of(described: Described, stored: Stored) -> MadeImage:
    return MadeImage(
        digest=described.image.digest,
        size=described.image.size,
        compressed_bytes=0,
        base=BASE,
        builder="layers",
        builder_version="1",
        reason="asked for",
        platform="linux/amd64",
        key_id=described.signer.key_id,
        blobs=stored.blobs,
    )


def files(root: Path) -> dict[str, bytes]:
    """Everything in a layout, but for its empty lock."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def described(tmp_path: Path) -> Described:
    return make_image(tmp_path / "image", converted=True)


@pytest.fixture
def store() -> ObjectBlobStore:
    return ObjectBlobStore.memory()


async def test_what_is_fetched_is_what_was_stored(described: Described, store: ObjectBlobStore, tmp_path: Path) -> None:
    """Index, every manifest and every blob; the copy verifies as the original does."""
    stored = await store_image(store, "acme", described.layout, result_of(described))
    made = made_of(described, stored)
    layout = await fetch_image(store, "acme", made, tmp_path / "fetched")
    assert files(layout.root) == files(described.layout.root)
    verifier = BundleVerifier(described.policy, ManualClock())
    assert verify_fetched(layout, made, verifier, described.subject).image == described.image.digest


async def test_layers_come_first_and_nothing_is_sent_twice(described: Described, store: ObjectBlobStore) -> None:
    """Each blob once but for layers of one content; a second time no byte travels."""
    first = await store_image(store, "acme", described.layout, result_of(described))
    assert [(blob.layer, blob.cached) for blob in first.blobs[:3]] == [("base", True), ("other", False), (None, False)]
    assert [blob.layer for blob in first.blobs[2:]] == [None] * len(first.blobs[2:])
    assert len({blob.digest for blob in first.blobs}) == len(first.blobs)
    assert first.sent == first.bytes == sum(blob.size for blob in first.blobs)
    again = await store_image(store, "acme", described.layout, result_of(described))
    assert (again.blobs, again.bytes, again.sent) == (first.blobs, first.bytes, 0)
    other = await store_image(store, "other", described.layout, result_of(described))
    assert other.sent == other.bytes


def test_one_blob_is_the_index(described: Described) -> None:
    """By which the layout is found again."""
    blobs = image_blobs(described.layout, result_of(described))
    assert [blob.media_type for blob in blobs].count(IMAGE_INDEX) == 1


async def test_a_blob_that_changed_since_it_was_verified_is_not_stored(
    described: Described, store: ObjectBlobStore
) -> None:
    """SIGN_004."""
    described.flip(described.layout.manifest(described.image).layers[0])
    with pytest.raises(SignatureError) as caught:
        await store_image(store, "acme", described.layout, result_of(described))
    assert caught.value.code is ErrorCode.DIGEST_MISMATCH


async def test_a_lost_blob_and_a_lie_about_its_size(
    described: Described, store: ObjectBlobStore, tmp_path: Path
) -> None:
    """STORE_002 for what the store lost, STORE_003 for more bytes than were stored."""
    stored = await store_image(store, "acme", described.layout, result_of(described))
    made = made_of(described, stored)
    smaller = replace(made, blobs=(replace(made.blobs[0], size=1), *made.blobs[1:]))
    with pytest.raises(StoreError) as corrupt:
        await fetch_image(store, "acme", smaller, tmp_path / "smaller")
    assert corrupt.value.code is ErrorCode.BLOB_CORRUPT
    await store.delete("acme", made.blobs[-2].digest)
    with pytest.raises(NotFound) as lost:
        await fetch_image(store, "acme", made, tmp_path / "lost")
    assert lost.value.code is ErrorCode.BLOB_NOT_FOUND
