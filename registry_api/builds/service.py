# SPDX-License-Identifier: Apache-2.0
"""Asks for builds, and finds them and their bytes."""

from __future__ import annotations

from dataclasses import dataclass

from artifacts.formats import format_named
from artifacts.manifest import MAX_MANIFEST_BYTES
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.stores.interface import BlobStore
from core.errors import Conflict, ErrorCode, StoreError
from registry_api.builds.repository import BuildRepository
from registry_api.builds.values import BUILD, Bento, Build
from registry_api.conversions.variants.service import VariantService
from registry_api.conversions.variants.values import Objective
from registry_api.db.session import Database
from registry_api.jobs.service import JobService
from registry_api.models.service import Content, ModelService, hold
from registry_api.models.source import Source, source_of
from registry_api.models.values import Version
from registry_api.products.service import ProductService


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a Bento is for, where no variant is named."""

    device: str = "cpu"
    objective: Objective = Objective.SOURCE


class BuildService(ProductService[Build]):
    """The builds of the caller's tenant; the work itself is :class:`registry_api.builds.handler.BuildHandler`'s."""

    def __init__(
        self,
        db: Database,
        store: BlobStore,
        models: ModelService,
        jobs: JobService,
        *,
        variants: VariantService,
    ) -> None:
        super().__init__(db, jobs, BuildRepository)
        self._store = store
        self._models = models
        self._variants = variants

    async def create(
        self, tenant: str, model: str, *, version: int | None, variant: str | None, wanted: Wanted | None = None
    ) -> Build:
        """Asks for a Bento of one variant.

        Args:
            tenant: Whose model.
            model: Its name.
            version: None: the one in PRODUCTION, else the newest.
            variant: Its name; None: as ``wanted`` says.
            wanted: Where it is to run and what matters; None: on the CPU, as it was uploaded if that can be run.

        Raises:
            ModelError: ``MODEL_001`` if there is no such version or variant.
            Conflict: ``STATE_001`` if the variant was rejected, or no form of the version can be run.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        source = await self._source(await self._models.resolve(tenant, model, version), variant, wanted or Wanted())
        async with self._db.write(tenant) as session:
            await hold(session, source)
            job = await self._jobs.enqueue(session, BUILD.new_job(tenant))
            return await BuildRepository(session, tenant).add(source, job)

    async def _source(self, version: Version, variant: str | None, wanted: Wanted) -> Source:
        if variant is None and wanted == Wanted() and format_named(version.format).executable:
            return source_of(version, None)
        if variant is None:
            choice = await self._variants.choice(version, device=wanted.device, objective=wanted.objective)
            return source_of(version, choice.form.name)
        await self._variants.check_not_rejected(version, variant)
        source = source_of(version, variant)
        if not format_named(source.format).executable:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"Variant {variant!r} of '{source.ref}' is of format {source.format}, which no runner loads. "
                "Convert it: furo convert MODEL@VERSION --to FORMAT-PRECISION.",
                details={"variant": variant},
            )
        return source

    async def manifest(self, build: Build) -> bytes:
        """The bytes of the Bento's signed manifest, checked against their digest.

        Raises:
            Conflict: ``STATE_001`` if the build has not succeeded.
        """
        return await self._store.read(build.source.tenant, finished(build).digest, limit=MAX_MANIFEST_BYTES)

    async def signature(self, build: Build) -> bytes:
        """The bytes of the manifest's signature, checked against their digest.

        Raises:
            Conflict: ``STATE_001`` if the build has not succeeded.
        """
        return await self._store.read(build.source.tenant, finished(build).signature_digest, limit=MAX_SIGNATURE_BYTES)

    async def archive(self, build: Build) -> Content:
        """The Bento's tar, which ``bentoml import`` takes.

        Raises:
            Conflict: ``STATE_001`` if the build has not succeeded.
            StoreError: ``STORE_003`` if the store lost it.
        """
        tenant, digest = build.source.tenant, finished(build).archive_digest
        size = await self._store.size(tenant, digest)
        if size is None:
            raise StoreError(ErrorCode.BLOB_CORRUPT, f"The archive of build {build.id!r} is lost. Build again.")
        return Content(digest=digest, size=size, chunks=self._store.stream(tenant, digest))


def finished(build: Build) -> Bento:
    """The Bento of a build that succeeded.

    Raises:
        Conflict: ``STATE_001`` if it has not.
    """
    if build.bento is None:
        raise BUILD.unfinished(build.id, build.state, "its Bento exists once it has succeeded")
    return build.bento
