# SPDX-License-Identifier: Apache-2.0
"""Brings an image from the blob store to an OCI layout on this machine, and verifies it there before anything runs it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from artifacts.digest import hex_of
from artifacts.durable import write_atomically
from artifacts.oci.blobs import room_on_disk
from artifacts.oci.documents import MAX_DOCUMENT_BYTES
from artifacts.oci.layout import Layout
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from artifacts.supply.verification import VerifiedImage, verify_image
from registry_api.images.values import MadeImage
from registry_api.models.transfer import download

INDEX: Final = "index.json"


async def fetch_image(store: BlobStore, tenant: str, made: MadeImage, target: Path) -> Layout:
    """Writes the image, and everything attached to it, into the new folder ``target``.

    Every blob must have the digest under which it was stored. That says nothing about who made it: see
    :func:`verify_fetched`. If it raises, the caller removes ``target``.

    Args:
        store: Where the blobs are.
        tenant: Whose they are.
        made: The image.
        target: New or empty.

    Raises:
        NotFound: ``STORE_002`` if the store lost a blob.
        StoreError: ``STORE_003`` if a stored blob is damaged.
        SignatureError: ``SIGN_010`` if the stored index is none.
        Unavailable: ``STORE_001`` if the store cannot be reached, ``STORE_004`` if the disk is full.
    """
    await asyncio.to_thread(Layout.create, target)
    with room_on_disk():
        for blob in {blob.digest: blob for blob in made.blobs if blob is not made.index}.values():
            path = target / "blobs" / "sha256" / hex_of(blob.digest)
            await download(store, tenant, blob.digest, path, limit=blob.size)
        index = await store.read(tenant, made.index.digest, limit=MAX_DOCUMENT_BYTES)
        await asyncio.to_thread(write_atomically, target / INDEX, index, mode=0o644, replace=True)
    return await asyncio.to_thread(Layout.open, target)


def verify_fetched(layout: Layout, made: MadeImage, verifier: BundleVerifier, subject: Subject) -> VerifiedImage:
    """Makes every check of :func:`artifacts.supply.verification.verify_image`, which see. Blocks."""
    return verify_image(layout, made.descriptor, verifier, subject)
