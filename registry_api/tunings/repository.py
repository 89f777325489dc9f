# SPDX-License-Identifier: Apache-2.0
"""Tunings in the database, each read together with its job."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy import Select, select, update

from artifacts.digest import Digest
from artifacts.tuning import read_tuning
from registry_api.db.session import Session
from registry_api.jobs.interface import Job
from registry_api.jobs.repository import to_job
from registry_api.jobs.tables import JobRow
from registry_api.models.source import Source
from registry_api.tunings.tables import TuningRow
from registry_api.tunings.values import Result, TuningRecord


def new_id() -> str:
    """The id of a new tuning; its job names it before its row is written."""
    return uuid4().hex


class TuningRepository:
    """Reads and writes the tunings of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(self, tuning_id: str, source: Source, job: Job, *, now: datetime) -> TuningRecord:
        """Writes a tuning that waits for its job."""
        row = TuningRow(
            id=tuning_id,
            tenant=source.tenant,
            model=source.model,
            version=source.version,
            variant=source.variant,
            format=source.format,
            variant_digest=source.digest,
            variant_signature_digest=source.signature_digest,
            job_id=job.id,
            created_at=now,
        )
        self._session.add(row)
        await self._session.flush()
        return _to_record(row, job)

    async def get(self, tuning_id: str) -> TuningRecord | None:
        """The tuning, or None if the tenant has none of that id."""
        found = (await self._session.execute(self._select().where(TuningRow.id == tuning_id))).one_or_none()
        return None if found is None else _to_record(found[0], to_job(found[1]))

    async def page(self, *, before: int | None, limit: int) -> list[tuple[int, TuningRecord]]:
        """Tunings newest first, each with its place in the order.

        Args:
            before: Only tunings older than this place; None starts with the newest.
            limit: At most so many.
        """
        query = self._select().order_by(TuningRow.number.desc()).limit(limit)
        if before is not None:
            query = query.where(TuningRow.number < before)
        return [(row.number, _to_record(row, to_job(job))) for row, job in await self._session.execute(query)]

    async def newest(self, variant_digest: Digest, *, device: Digest | None = None) -> bytes | None:
        """The newest ``tuning.json`` of a variant, or None if there is none.

        Args:
            variant_digest: Of the variant's manifest.
            device: Only of devices with this fingerprint; None: of any.
        """
        query = select(TuningRow.document).where(
            TuningRow.tenant == self._tenant,
            TuningRow.variant_digest == variant_digest,
            TuningRow.document.is_not(None),
        )
        if device is not None:
            query = query.where(TuningRow.device == device)
        return await self._session.scalar(query.order_by(TuningRow.number.desc()).limit(1))

    async def finish(self, tuning_id: str, result: Result) -> None:
        """Writes what was measured."""
        await self._session.execute(
            update(TuningRow)
            .where(TuningRow.id == tuning_id, TuningRow.tenant == self._tenant)
            .values(device=result.tuning.device.fingerprint, document=result.document, key_id=result.key_id)
            .execution_options(synchronize_session=False)
        )

    def _select(self) -> Select[TuningRow, JobRow]:
        joined = select(TuningRow, JobRow).join(JobRow, JobRow.id == TuningRow.job_id)
        return joined.where(TuningRow.tenant == self._tenant)


def _to_record(row: TuningRow, job: Job) -> TuningRecord:
    source = Source(
        tenant=row.tenant,
        model=row.model,
        version=row.version,
        variant=row.variant,
        format=row.format,
        digest=row.variant_digest,
        signature_digest=row.variant_signature_digest,
    )
    return TuningRecord(
        id=row.id,
        source=source,
        state=job.state,
        result=_to_result(row),
        job_id=job.id,
        error=job.error,
        created_at=row.created_at,
        finished_at=job.finished_at,
    )


def _to_result(row: TuningRow) -> Result | None:
    if row.document is None or row.key_id is None:
        return None
    tuning = read_tuning(row.document, digest=row.variant_digest)
    return Result(tuning=tuning, document=row.document, key_id=row.key_id)
