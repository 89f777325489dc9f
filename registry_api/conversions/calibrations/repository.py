# SPDX-License-Identifier: Apache-2.0
"""Calibration data in the database."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from registry_api.conversions.calibrations.values import Calibration
from registry_api.conversions.tables import CalibrationRow
from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing


class CalibrationRepository:
    """Reads and writes the calibration data of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(self, calibration: Calibration) -> bool:
        """Writes new calibration data; False if the model has some of that name."""
        row = CalibrationRow(
            tenant=self._tenant,
            model=calibration.model,
            name=calibration.name,
            size=calibration.size,
            digest=calibration.digest,
            signature_digest=calibration.signature_digest,
            key_id=calibration.key_id,
            created_at=calibration.created_at,
            created_by=calibration.created_by,
        )
        try:
            async with self._session.begin_nested():
                self._session.add(row)
        except IntegrityError:
            return False
        return True

    async def get(self, model: str, name: str) -> Calibration | None:
        """Calibration data by name, or None if the model has none of that name."""
        query = select(CalibrationRow).where(
            CalibrationRow.tenant == self._tenant, CalibrationRow.model == model, CalibrationRow.name == name
        )
        row = (await self._session.scalars(query)).one_or_none()
        return None if row is None else _value(row)

    async def count(self, model: str) -> int:
        """How many the model has."""
        query = select(func.count()).select_from(CalibrationRow)
        query = query.where(CalibrationRow.tenant == self._tenant, CalibrationRow.model == model)
        return await self._session.scalar(query) or 0

    async def page(self, model: str, request: PageRequest) -> Listing[Calibration]:
        """Calibration data of a model, newest first."""
        query = (
            select(CalibrationRow)
            .where(CalibrationRow.tenant == self._tenant, CalibrationRow.model == model)
            .order_by(CalibrationRow.number.desc())
            .limit(request.limit + 1)
        )
        if (after := request.position(int)) is not None:
            query = query.where(CalibrationRow.number < after[0])
        rows = (await self._session.scalars(query)).all()
        return listing(rows, request, lambda row: (row.number,)).map(_value)


def _value(row: CalibrationRow) -> Calibration:
    return Calibration(
        tenant=row.tenant,
        model=row.model,
        name=row.name,
        size=row.size,
        digest=row.digest,
        signature_digest=row.signature_digest,
        key_id=row.key_id,
        created_at=row.created_at,
        created_by=row.created_by,
    )
