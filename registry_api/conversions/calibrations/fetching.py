# SPDX-License-Identifier: Apache-2.0
"""Brings calibration data from the blob store to a folder, verified."""

from __future__ import annotations

from pathlib import Path

from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.signing.documents import verify_document
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from registry_api.conversions.calibrations.values import Calibration
from registry_api.models.transfer import download


async def fetch_calibration(store: BlobStore, verifier: BundleVerifier, calibration: Calibration, folder: Path) -> None:
    """Writes the file ``calibration.npz`` or ``calibration.safetensors`` into a folder, after its signature was checked.

    Raises:
        SignatureError: A ``SIGN_*`` code: it is not what the tenant's key signed.
        StoreError: ``STORE_003`` if the stored bytes are damaged.
        NotFound: ``STORE_002`` if the store lost them.
    """
    signature = await store.read(calibration.tenant, calibration.signature_digest, limit=MAX_SIGNATURE_BYTES)
    verify_document(signature, calibration.claim, verifier)
    target = folder / f"calibration{Path(calibration.name).suffix}"
    await download(store, calibration.tenant, calibration.digest, target, limit=calibration.size)
