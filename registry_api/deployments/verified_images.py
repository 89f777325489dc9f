# SPDX-License-Identifier: Apache-2.0
"""Brings the image of a template to this machine, and lets nobody have it before every check was made."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from artifacts.keys.interface import TrustProvider
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.layout import Layout
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from registry_api.db.session import Database
from registry_api.images.fetching import fetch_image, verify_fetched
from registry_api.images.repository import ImageRepository
from registry_api.images.service import finished
from registry_api.jobs.interface import JobTask
from registry_api.models.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedImage:
    """A verified image."""

    layout: Layout  # with everything attached to it
    descriptor: Descriptor
    source: Source  # of the model inside


class VerifiedImages:
    """Fetches images.

    Args:
        db: Where images are.
        store: Where their bytes are.
        trust: Tells whom a tenant trusts.
        clock: For the validity of signatures.
    """

    def __init__(self, db: Database, store: BlobStore, trust: TrustProvider, clock: Clock) -> None:
        self._db = db
        self._store = store
        self._trust = trust
        self._clock = clock

    async def fetch(self, tenant: str, image_id: str, target: Path, task: JobTask) -> FetchedImage:
        """Writes the image into the new folder ``target`` and checks signature, SBOM, provenance and chain there.

        Raises:
            SignatureError: A ``SIGN_*`` or ``IMAGE_*`` code: what is stored is not what the tenant signed.
            NotFound: ``STORE_002`` if the store lost a part of it.
            StoreError: ``STORE_003`` if a stored part is damaged.
            Unavailable: ``STORE_*`` if the store cannot be reached or the disk is full.
        """
        policy = await asyncio.to_thread(self._trust.policy, tenant)
        async with self._db.read(tenant) as session:
            image = await ImageRepository(session, tenant).get(image_id)
        made, source = finished(image), image.source
        subject = Subject(tenant=tenant, model=source.model, version=source.version, variant=source.variant)
        layout = await fetch_image(self._store, tenant, made, target)
        verifier = BundleVerifier(policy, self._clock)
        verified = await asyncio.to_thread(verify_fetched, layout, made, verifier, subject)
        for line in verified.lines():
            task.log(line)
        return FetchedImage(layout=layout, descriptor=made.descriptor, source=source)
