# SPDX-License-Identifier: Apache-2.0
"""Brings a Bento from the blob store to a folder and verifies it there, before anything of it is executed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SIGNATURE_NAME, Manifest
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier, VerifiedBundle
from artifacts.source import DirectorySource
from artifacts.stores.interface import BlobStore
from registry_api.builds.archive import unpack
from registry_api.builds.values import Bento
from registry_api.models.source import Source
from registry_api.models.transfer import download

_TAR_BYTES_PER_FILE: Final = 8192  # headers and padding of one member, generously
_TAR_BYTES: Final = 1 << 20  # the end of a tar


async def fetch_bento(
    store: BlobStore, verifier: BundleVerifier, source: Source, bento: Bento, target: Path
) -> VerifiedBundle:
    """Writes the Bento into the new folder ``target`` and makes every check on what was written.

    The signature is checked before the archive is fetched, and no more is unpacked than the signed manifest lists.

    Raises:
        SignatureError: A ``SIGN_*`` code: the Bento is not what the tenant signed.
        NotFound: ``STORE_002`` if the store lost a part of it.
        StoreError: ``STORE_003`` if a stored part is damaged.
        Unavailable: ``STORE_*`` if the store cannot be reached or the disk is full.
    """
    subject = Subject(
        tenant=source.tenant, model=source.model, version=source.version, variant=source.variant, kind="bento"
    )
    manifest_bytes = await store.read(source.tenant, bento.digest, limit=MAX_MANIFEST_BYTES)
    signature_bytes = await store.read(source.tenant, bento.signature_digest, limit=MAX_SIGNATURE_BYTES)
    manifest = verifier.verify_manifest(manifest_bytes, signature_bytes, subject=subject)
    archive = target.with_suffix(".tar")
    limit = manifest.size + _TAR_BYTES_PER_FILE * len(manifest.files) + _TAR_BYTES
    try:
        await download(store, source.tenant, bento.archive_digest, archive, limit=limit)
        await asyncio.to_thread(_unpack, archive, target, manifest)
    finally:
        archive.unlink(missing_ok=True)
    (target / MANIFEST_NAME).write_bytes(manifest_bytes)
    (target / SIGNATURE_NAME).write_bytes(signature_bytes)
    return await asyncio.to_thread(verifier.verify, DirectorySource(target), subject=subject, retain=False)


def _unpack(archive: Path, target: Path, manifest: Manifest) -> None:
    unpack(archive, target, max_files=len(manifest.files), max_bytes=manifest.size)
