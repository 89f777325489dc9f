# SPDX-License-Identifier: Apache-2.0
"""The signed manifests from the model inside a Bento back to the files that somebody uploaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

from artifacts.digest import Digest
from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SIGNATURE_NAME, Manifest
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.stores.interface import BlobStore
from artifacts.supply.chain import MAX_STEPS, SignedManifest, broken_chain
from registry_api.builds.builder import MODEL_FOLDER
from registry_api.models.values import Version


def signed_in(folder: Path) -> SignedManifest:
    """The signed manifest that lies in the folder of a bundle."""
    return SignedManifest(
        manifest=(folder / MANIFEST_NAME).read_bytes(), signature=(folder / SIGNATURE_NAME).read_bytes()
    )


async def ancestry(store: BlobStore, version: Version, bento: Path) -> tuple[SignedManifest, ...]:
    """The manifest of the bundle in a Bento first, that of what it was made from after it, the uploaded one last.

    Args:
        store: Where manifests are.
        version: The model version inside, with all its variants.
        bento: Folder of the Bento, verified.

    Raises:
        SignatureError: ``IMAGE_007`` if the registry does not have a form that another was made from.
        NotFound: ``STORE_002`` if the store lost a manifest.
    """
    found = [await asyncio.to_thread(signed_in, bento / MODEL_FOLDER)]
    parent = Manifest.from_bytes(found[0].manifest).parent
    while parent is not None and len(found) <= MAX_STEPS:
        found.append(await _signed(store, version, parent))
        parent = Manifest.from_bytes(found[-1].manifest).parent
    return tuple(found)


async def _signed(store: BlobStore, version: Version, digest: Digest) -> SignedManifest:
    form = next((variant for variant in version.variants if variant.digest == digest), None)
    if form is None:
        raise broken_chain(f"'{version.tenant}/{version.model}@{version.version}' has no form with manifest {digest}")
    return SignedManifest(
        manifest=await store.read(version.tenant, digest, limit=MAX_MANIFEST_BYTES),
        signature=await store.read(version.tenant, form.signature_digest, limit=MAX_SIGNATURE_BYTES),
    )
