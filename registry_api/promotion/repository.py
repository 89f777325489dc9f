# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the stage changes of one tenant."""

from __future__ import annotations

from sqlalchemy import select

from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.models.values import Stage
from registry_api.promotion.tables import StageChangeRow
from registry_api.promotion.values import StageChange


class HistoryRepository:
    """The stage changes of one tenant's models."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(self, change: StageChange) -> None:
        """Writes a change."""
        assert change.tenant == self._tenant
        self._session.add(
            StageChangeRow(
                tenant=change.tenant,
                model=change.model,
                version=change.version,
                before=change.before,
                after=change.after,
                reason=change.reason,
                actor=change.actor,
                actor_key=change.actor_key,
                at=change.at,
            )
        )
        await self._session.flush()

    async def page(self, model: str, request: PageRequest) -> Listing[StageChange]:
        """Changes of a model's versions, newest first."""
        query = select(StageChangeRow).where(StageChangeRow.tenant == self._tenant, StageChangeRow.model == model)
        if (after := request.position(int)) is not None:
            query = query.where(StageChangeRow.id < after[0])
        rows = await self._session.scalars(query.order_by(StageChangeRow.id.desc()).limit(request.limit + 1))
        return listing([_change(row) for row in rows], request, lambda change: (change.id,))


def _change(row: StageChangeRow) -> StageChange:
    return StageChange(
        id=row.id,
        tenant=row.tenant,
        model=row.model,
        version=row.version,
        before=Stage(row.before),
        after=Stage(row.after),
        reason=row.reason,
        actor=row.actor,
        actor_key=row.actor_key,
        at=row.at,
    )
