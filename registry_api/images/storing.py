# SPDX-License-Identifier: Apache-2.0
"""Puts a finished image into the blob store: every blob that its layout's index leads to, and the index. What is there stays.

Law: :func:`registry_api.images.fetching.fetch_image` of what :func:`store_image` returns is the same layout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifacts.digest import digest_bytes, hex_of
from artifacts.oci.documents import encode_document
from artifacts.oci.layout import Descriptor, Layout
from artifacts.oci.media import IMAGE_INDEX
from artifacts.stores.interface import BlobStore
from registry_api.images.builders.spec import ImageResult
from registry_api.images.fetching import INDEX
from registry_api.images.values import ImageBlob
from registry_api.models.transfer import upload_as

_OTHER: Final = "other"  # a layer whose name is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What storing did."""

    blobs: tuple[ImageBlob, ...]  # layers lowest first, then the rest
    bytes: int  # of all blobs, each counted once
    sent: int  # bytes that were not there before


def image_blobs(layout: Layout, result: ImageResult) -> tuple[ImageBlob, ...]:
    """The blobs of an image and of what is attached to it in its layout: layers lowest first, then the rest. Blocks.

    Raises:
        SignatureError: A ``SIGN_*`` code if a manifest cannot be read.
    """
    named = {str(layer["digest"]): layer for layer in result.layers}
    layers = tuple(_layer(blob, named.get(blob.digest, {})) for blob in layout.manifest(result.image).layers)
    others = {blob.digest: blob for blob in _listed(layout)}
    for layer in layers:
        others.pop(layer.digest, None)
    return (*layers, *others.values())


async def store_image(store: BlobStore, tenant: str, layout: Layout, result: ImageResult) -> Stored:
    """Stores an image that was verified.

    Args:
        store: Where to.
        tenant: Whose it is.
        layout: Holds the image and what is attached to it.
        result: What the image is.

    Raises:
        SignatureError: ``SIGN_004`` if a blob is not what its digest says any more.
        Unavailable: ``STORE_001`` if the store cannot be reached, ``STORE_004`` if it has no room.
    """
    blobs = await asyncio.to_thread(image_blobs, layout, result)
    distinct = {blob.digest: blob for blob in blobs}
    sent = 0
    for blob in distinct.values():
        if await store.size(tenant, blob.digest) is None:
            await upload_as(store, tenant, _path(layout, blob), digest=blob.digest, size=blob.size)
            sent += blob.size
    return Stored(blobs=blobs, bytes=sum(blob.size for blob in distinct.values()), sent=sent)


def _listed(layout: Layout) -> Iterator[ImageBlob]:
    index = layout.index()
    for entry in index.manifests:
        for blob in layout.manifest(entry).blobs:
            yield _blob(blob)
        yield _blob(entry)
    data = encode_document(index)
    yield ImageBlob(digest=digest_bytes(data), size=len(data), media_type=IMAGE_INDEX)


def _layer(blob: Descriptor, told: Mapping[str, str | int | bool]) -> ImageBlob:
    return ImageBlob(
        digest=blob.digest,
        size=blob.size,
        media_type=blob.media_type,
        layer=str(told.get("name", _OTHER))[:32],
        cached=bool(told.get("cached", False)),
    )


def _blob(found: Descriptor) -> ImageBlob:
    return ImageBlob(digest=found.digest, size=found.size, media_type=found.media_type)


def _path(layout: Layout, blob: ImageBlob) -> Path:
    if blob.media_type == IMAGE_INDEX:
        return layout.root / INDEX
    return layout.root / "blobs" / "sha256" / hex_of(blob.digest)
