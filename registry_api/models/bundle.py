# SPDX-License-Identifier: Apache-2.0
"""Brings a variant's bundle from the blob store to a folder and verifies it there, before anything uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SIGNATURE_NAME
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier, VerifiedBundle
from artifacts.source import DirectorySource
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from registry_api.jobs.interface import JobTask
from registry_api.models.source import Source
from registry_api.models.transfer import download


async def fetch_bundle(store: BlobStore, verifier: BundleVerifier, source: Source, target: Path) -> VerifiedBundle:
    """Writes the bundle into the new folder ``target`` and makes every check on what was written.

    The signature is checked before the first file is fetched. Nobody else may write below ``target``.

    Raises:
        SignatureError: A ``SIGN_*`` code: the bundle is not what the tenant signed.
        NotFound: ``STORE_002`` if the store lost a part of it.
        Unavailable: ``STORE_*`` if the store cannot be reached or the disk is full.
    """
    subject = Subject(tenant=source.tenant, model=source.model, version=source.version, variant=source.variant)
    manifest_bytes = await store.read(source.tenant, source.digest, limit=MAX_MANIFEST_BYTES)
    signature_bytes = await store.read(source.tenant, source.signature_digest, limit=MAX_SIGNATURE_BYTES)
    manifest = verifier.verify_manifest(manifest_bytes, signature_bytes, subject=subject)
    await asyncio.to_thread(_begin, target, {MANIFEST_NAME: manifest_bytes, SIGNATURE_NAME: signature_bytes})
    for entry in manifest.files:
        await download(store, source.tenant, entry.digest, target / entry.path, limit=entry.size)
    return await asyncio.to_thread(verifier.verify, DirectorySource(target), subject=subject, retain=False)


async def stage_bundle(
    store: BlobStore, policy: TrustPolicy, clock: Clock, source: Source, *, scratch: Path, task: JobTask
) -> None:
    """Readies the folder of a job whose child verifies again: the bundle in ``model``, the tenant's trust in ``trust``.

    Raises:
        SignatureError: A ``SIGN_*`` code: the bundle is not what the tenant signed.
        NotFound: ``STORE_002`` if the store lost a part of it.
        Unavailable: ``STORE_*`` if the store cannot be reached or the disk is full.
    """
    bundle = await fetch_bundle(store, BundleVerifier(policy, clock), source, scratch / "model")
    task.log(f"verified {source.ref} {source.variant} {bundle.digest}, signed by {bundle.key_id}")
    (scratch / "trust").mkdir()
    (scratch / "trust" / f"{source.tenant}.json").write_bytes(policy.to_bytes())


def _begin(target: Path, files: Mapping[str, bytes]) -> None:
    target.mkdir(mode=0o700, parents=True)
    for name, data in files.items():
        (target / name).write_bytes(data)
