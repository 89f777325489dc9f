# SPDX-License-Identifier: Apache-2.0
"""Tunings in the database, each read together with its job."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from artifacts.digest import Digest
from artifacts.tuning import read_tuning
from registry_api.db.session import Session
from registry_api.jobs.interface import Job
from registry_api.models.rows import source_value
from registry_api.models.source import Source
from registry_api.products.repository import ProductRepository
from registry_api.tunings.tables import TuningRow
from registry_api.tunings.values import TUNING, Result, TuningRecord


class TuningRepository(ProductRepository[TuningRow, TuningRecord]):
    """Reads and writes the tunings of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        super().__init__(session, tenant, TUNING, TuningRow)

    async def add(self, source: Source, job: Job) -> TuningRecord:
        """Writes a tuning that waits for its job."""
        return _to_record(await self._add(source, job), job)

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
        device = result.tuning.device.fingerprint
        await self._finish(tuning_id, device=device, document=result.document, key_id=result.key_id)

    async def _values(self, found: Sequence[tuple[TuningRow, Job]]) -> Sequence[TuningRecord]:
        return [_to_record(*each) for each in found]


def _to_record(row: TuningRow, job: Job) -> TuningRecord:
    return TuningRecord(
        id=row.id,
        source=source_value(row, row.tenant),
        job=job,
        result=_to_result(row),
        created_at=row.created_at,
    )


def _to_result(row: TuningRow) -> Result | None:
    if row.document is None or row.key_id is None:
        return None
    tuning = read_tuning(row.document, digest=row.variant_digest)
    return Result(tuning=tuning, document=row.document, key_id=row.key_id)
