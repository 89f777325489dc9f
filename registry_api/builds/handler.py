# SPDX-License-Identifier: Apache-2.0
"""The work of a build job: make the Bento, sign it, store it.

Guarantees. Nothing unverified enters a Bento. What is signed is what is in the archive: the manifest is made from the
tar that is stored, not from BentoML's folder. The build's row learns of its Bento in the transaction that ends the job;
blobs of an attempt that did not end are content-addressed leftovers nobody refers to. That the Bento's blobs are still
there is checked in that transaction, under the lock that removals hold.
"""

from __future__ import annotations

import asyncio
from typing import Final

from artifacts.manifest import Manifest
from artifacts.signing.bundle import sign_manifest
from registry_api.builds.builder import BentoBuilder, BuildOptions, Packed
from registry_api.builds.repository import BuildRepository
from registry_api.builds.values import BUILD, Bento, bento_name, bento_version
from registry_api.db.session import Session
from registry_api.jobs.interface import JobTask, Outcome
from registry_api.models.source import Source
from registry_api.models.transfer import upload, upload_bytes
from registry_api.models.uploads.admission import admit_product
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.products.events import tell_success
from registry_api.products.handler import ProductHandler, Tools
from registry_api.tunings.repository import TuningRepository

PRODUCER: Final = "furoshiki-registry"


class BuildHandler(ProductHandler[BuildOptions]):
    """Runs build jobs.

    Args:
        tools: What it works with.
        builder: Makes Bentos.
        blobs: Knows what a tenant may keep.
        options: Folders and limits.
    """

    product = BUILD

    def __init__(self, tools: Tools, *, builder: BentoBuilder, blobs: TenantBlobs, options: BuildOptions) -> None:
        super().__init__(tools, options=options)
        self._builder = builder
        self._blobs = blobs

    async def run(self, task: JobTask) -> Outcome:
        """Makes, signs and stores the Bento."""
        build_id = BUILD.id_in(task.job)
        source, tuning = await self._source(task.job.tenant, build_id)
        with self._scratch(task.job) as scratch:
            packed = await self._builder.build(source, scratch, task, tuning=tuning)
            task.progress(0.8, "signing the Bento")
            bento = await self._sign_and_store(source, packed, task)

        async def apply(session: Session) -> None:
            blobs = (bento.digest, bento.signature_digest, bento.archive_digest)
            await self._check_stored(session, source, blobs)
            await BuildRepository(session, source.tenant).finish(build_id, bento)
            await admit_product(self._blobs, session, source.tenant)
            await tell_success(session, BUILD, task.job, source, digest=bento.digest)

        result = {"build": build_id, "tag": bento.tag, "digest": bento.digest, "archive_digest": bento.archive_digest}
        return Outcome(result=result, apply=apply)

    async def _source(self, tenant: str, build_id: str) -> tuple[Source, bytes | None]:
        """The variant, and its newest tuning."""
        async with self._db.read(tenant) as session:
            source = (await BuildRepository(session, tenant).get(build_id)).source
            return source, await TuningRepository(session, tenant).newest(source.digest)

    async def _sign_and_store(self, source: Source, packed: Packed, task: JobTask) -> Bento:
        manifest = Manifest(
            kind="bento",
            tenant=source.tenant,
            model=source.model,
            version=source.version,
            variant=source.variant,
            format=source.format,
            files=packed.files,
            parent=source.digest,
            producer=PRODUCER,
            created_at=self._clock.now(),
            metadata={},
        )
        signer = await self._signer(source.tenant)
        signature = await asyncio.to_thread(sign_manifest, manifest, signer)
        task.progress(0.9, "storing the Bento")
        await upload_bytes(self._store, source.tenant, manifest.to_bytes())
        bento = Bento(
            tag=f"{bento_name(source.tenant, source.model)}:{bento_version(source.version, source.variant)}",
            size=manifest.size,
            digest=manifest.digest,
            signature_digest=await upload_bytes(self._store, source.tenant, signature),
            archive_digest=await upload(self._store, source.tenant, packed.archive),
            key_id=signer.key_id,
        )
        task.log(f"built {bento.tag} {bento.digest}, {bento.size} bytes, signed by {bento.key_id}")
        return bento
