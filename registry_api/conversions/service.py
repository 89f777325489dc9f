# SPDX-License-Identifier: Apache-2.0
"""Asks for conversions, and finds them and their reports."""

from __future__ import annotations

from artifacts.stores.interface import BlobStore
from core.errors import Conflict, ErrorCode, NotFound
from registry_api.conversions.calibrations.repository import CalibrationRepository
from registry_api.conversions.calibrations.service import raise_no_calibration
from registry_api.conversions.repository import ConversionRepository
from registry_api.conversions.values import CONVERSION, Conversion, Plan, Result
from registry_api.db.session import Database
from registry_api.jobs.service import JobService
from registry_api.models.service import ModelService, hold
from registry_api.models.source import Source, source_of
from registry_api.products.service import ProductService

MAX_DOCUMENT_BYTES = 4 << 20  # of a report, its signature or its picture


class ConversionService(ProductService[Conversion]):
    """The conversions of the caller's tenant; :class:`registry_api.conversions.handler.ConvertHandler` does the work."""

    def __init__(self, db: Database, store: BlobStore, models: ModelService, jobs: JobService) -> None:
        super().__init__(db, jobs, ConversionRepository)
        self._store = store
        self._models = models

    async def create(self, tenant: str, model: str, version: int, *, variant: str | None, plan: Plan) -> Conversion:
        """Asks for a variant to be converted.

        Args:
            tenant: Whose model.
            model: Its name.
            version: Its number.
            variant: The source; None: the one that was uploaded.
            plan: What to make of it.

        Raises:
            ModelError: ``MODEL_001`` if there is no such version or variant.
            NotFound: ``CONVERT_001`` if the model has no such calibration data.
            Conflict: ``STATE_002`` if the version has the wanted variant already.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        found = await self._models.version(tenant, model, version)
        source = source_of(found, variant)
        if found.variant(plan.target.variant) is not None:
            raise Conflict(
                ErrorCode.RESOURCE_EXISTS,
                f"'{source.ref}' has a variant {plan.target.variant!r} already; variants never change. "
                "Register a new version to convert it in another way.",
                details={"variant": plan.target.variant},
            )
        return await self._enqueue(source, plan)

    async def result(self, tenant: str, conversion_id: str, variant: str | None) -> Result:
        """One candidate of a conversion.

        Args:
            tenant: Whose.
            conversion_id: The conversion.
            variant: The candidate's name; None: the only one.

        Raises:
            NotFound: ``CONVERT_001`` if there is no such conversion, or it has no such result.
        """
        conversion = await self.get(tenant, conversion_id)
        names = [result.variant for result in conversion.results]
        wanted = names[0] if variant is None and len(names) == 1 else variant
        for result in conversion.results:
            if result.variant == wanted:
                return result
        raise NotFound(
            ErrorCode.CONVERSION_NOT_FOUND,
            f"Conversion {conversion_id!r} is {conversion.job.state} and has no result {variant or ''!r}; "
            f"it has {', '.join(names) or 'none'}.",
            details={"conversion": conversion_id, "state": conversion.job.state},
        )

    async def document(self, tenant: str, digest: str) -> bytes:
        """The bytes of a report, its signature or its picture, checked against their digest."""
        return await self._store.read(tenant, digest, limit=MAX_DOCUMENT_BYTES)

    async def _enqueue(self, source: Source, plan: Plan) -> Conversion:
        async with self._db.write(source.tenant) as session:
            await hold(session, source)
            if plan.calibration is not None:
                calibrations = CalibrationRepository(session, source.tenant)
                if await calibrations.get(source.model, plan.calibration) is None:
                    raise_no_calibration(source.model, plan.calibration)
            job = await self._jobs.enqueue(session, CONVERSION.new_job(source.tenant))
            return await ConversionRepository(session, source.tenant).add(source, plan, job)
