# SPDX-License-Identifier: Apache-2.0
"""Asks for tunings, and finds them and their documents."""

from __future__ import annotations

from artifacts.digest import Digest
from core.errors import ErrorCode, NotFound
from registry_api.db.session import Database
from registry_api.jobs.service import JobService
from registry_api.models.service import ModelService, hold
from registry_api.models.source import source_of
from registry_api.products.service import ProductService
from registry_api.tunings.repository import TuningRepository
from registry_api.tunings.values import TUNING, TuningRecord


class TuningService(ProductService[TuningRecord]):
    """The tunings of the caller's tenant; the work itself is :class:`registry_api.tunings.handler.TuneHandler`'s."""

    def __init__(self, db: Database, models: ModelService, jobs: JobService) -> None:
        super().__init__(db, jobs, TuningRepository)
        self._models = models

    async def create(self, tenant: str, model: str, *, version: int | None, variant: str | None) -> TuningRecord:
        """Asks for a variant to be measured on the machine of the worker that takes the job.

        Args:
            tenant: Whose model.
            model: Its name.
            version: None: the one in PRODUCTION, else the newest.
            variant: None: the one that was uploaded.

        Raises:
            ModelError: ``MODEL_001`` if there is no such version or variant.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        source = source_of(await self._models.resolve(tenant, model, version), variant)
        async with self._db.write(tenant) as session:
            await hold(session, source)
            job = await self._jobs.enqueue(session, TUNING.new_job(tenant))
            return await TuningRepository(session, tenant).add(source, job)

    async def document(
        self, tenant: str, model: str, version: int, *, variant: str | None, device: Digest | None
    ) -> bytes:
        """The newest signed ``tuning.json`` of a variant.

        Args:
            tenant: Whose model.
            model: Its name.
            version: Its number.
            variant: None: the one that was uploaded.
            device: Only of devices with this fingerprint; None: of any.

        Raises:
            ModelError: ``MODEL_001`` if there is no such version or variant.
            NotFound: ``TUNING_001`` if it was not tuned, or not on such a device.
        """
        source = source_of(await self._models.version(tenant, model, version), variant)
        async with self._db.read(tenant) as session:
            found = await TuningRepository(session, tenant).newest(source.digest, device=device)
        if found is None:
            where = "" if device is None else f" on a device {device}"
            raise NotFound(ErrorCode.TUNING_NOT_FOUND, f"'{source.ref}' {source.variant} was not tuned{where}.")
        return found
