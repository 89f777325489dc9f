# SPDX-License-Identifier: Apache-2.0
"""Asks for tunings, and finds them and their documents."""

from __future__ import annotations

from typing import NoReturn

from artifacts.digest import Digest
from core.clock import Clock
from core.errors import ErrorCode, NotFound
from registry_api.db.session import Database
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.jobs.interface import JobKind, NewJob
from registry_api.jobs.service import JobService
from registry_api.models.repository import hold_version
from registry_api.models.service import ModelService, raise_no_model
from registry_api.models.source import source_of
from registry_api.tunings.repository import TuningRepository, new_id
from registry_api.tunings.values import TuningRecord


class TuningService:
    """The tunings of the caller's tenant; the work itself is :class:`registry_api.tunings.handler.TuneHandler`'s."""

    def __init__(self, db: Database, clock: Clock, models: ModelService, jobs: JobService) -> None:
        self._db = db
        self._clock = clock
        self._models = models
        self._jobs = jobs

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
        tuning_id = new_id()
        async with self._db.write(tenant) as session:
            if not await hold_version(session, tenant, source.model, source.version):
                raise_no_model(tenant, f"{source.model}@{source.version}")
            new = NewJob(tenant=tenant, kind=JobKind.TUNE, spec={"tuning": tuning_id})
            job = await self._jobs.enqueue(session, new)
            return await TuningRepository(session, tenant).add(tuning_id, source, job, now=self._clock.now())

    async def get(self, tenant: str, tuning_id: str) -> TuningRecord:
        """One tuning.

        Raises:
            NotFound: ``TUNING_001`` if the tenant has none of that id.
        """
        async with self._db.read(tenant) as session:
            found = await TuningRepository(session, tenant).get(tuning_id)
        if found is None:
            raise_no_tuning(tuning_id)
        return found

    async def page(self, tenant: str, request: PageRequest) -> Listing[TuningRecord]:
        """Tunings, newest first."""
        position = request.position(int)
        before = None if position is None else position[0]
        async with self._db.read(tenant) as session:
            rows = await TuningRepository(session, tenant).page(before=before, limit=request.limit + 1)
        numbered = listing(rows, request, lambda row: (row[0],))
        return Listing(items=tuple(found for _number, found in numbered.items), next_cursor=numbered.next_cursor)

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


def raise_no_tuning(tuning_id: str) -> NoReturn:
    """Says that the tenant has no such tuning.

    Raises:
        NotFound: ``TUNING_001``.
    """
    shown = tuning_id[:64]
    raise NotFound(ErrorCode.TUNING_NOT_FOUND, f"There is no tuning {shown!r}.", details={"tuning": shown})
