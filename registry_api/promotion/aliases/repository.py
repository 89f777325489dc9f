# SPDX-License-Identifier: Apache-2.0
"""The aliases of one tenant's models in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Row, ScalarSelect, Select, delete, func, select, update

from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.models.tables import AliasRow, ModelRow, VersionRow
from registry_api.promotion.repository import Locked
from registry_api.promotion.values import Alias


class AliasRepository:
    """Reads and writes aliases."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def get(self, model: str, name: str) -> Alias | None:
        """One alias."""
        row = (await self._session.execute(self._query(model).where(AliasRow.name == name))).one_or_none()
        return None if row is None else _value(row, model)

    async def page(self, model: str, request: PageRequest) -> Listing[Alias]:
        """Aliases of a model by name."""
        query = self._query(model).order_by(AliasRow.name).limit(request.limit + 1)
        if (after := request.position(str)) is not None:
            query = query.where(AliasRow.name > after[0])
        rows = [_value(row, model) for row in await self._session.execute(query)]
        return listing(rows, request, lambda alias: (alias.name,))

    async def count(self, model: str) -> int:
        """How many a model has."""
        query = select(func.count()).select_from(AliasRow).where(AliasRow.model_id == _model_id(self._tenant, model))
        return await self._session.scalar(query) or 0

    async def add(self, name: str, target: Locked, *, by: str, at: datetime) -> None:
        """Writes a new alias of a version."""
        model_id = await self._session.scalar(select(_model_id(self._tenant, target.model)))
        self._session.add(
            AliasRow(
                model_id=model_id,
                name=name,
                tenant=self._tenant,
                version_id=target.version_id,
                moved_at=at,
                moved_by=by,
            )
        )
        await self._session.flush()

    async def move(self, name: str, target: Locked, *, by: str, at: datetime) -> None:
        """Points an alias at another version."""
        change = (
            update(AliasRow)
            .where(AliasRow.model_id == _model_id(self._tenant, target.model), AliasRow.name == name)
            .values(version_id=target.version_id, moved_at=at, moved_by=by)
        )
        await self._session.execute(change.execution_options(synchronize_session=False))

    async def remove(self, model: str, name: str) -> None:
        """Removes an alias."""
        gone = delete(AliasRow).where(AliasRow.model_id == _model_id(self._tenant, model), AliasRow.name == name)
        await self._session.execute(gone.execution_options(synchronize_session=False))

    def _query(self, model: str) -> Select[str, int, datetime, str]:
        return (
            select(AliasRow.name, VersionRow.version, AliasRow.moved_at, AliasRow.moved_by)
            .join(VersionRow, VersionRow.id == AliasRow.version_id)
            .where(AliasRow.tenant == self._tenant, AliasRow.model_id == _model_id(self._tenant, model))
        )


def _value(row: Row[str, int, datetime, str], model: str) -> Alias:
    return Alias(model=model, name=row.name, version=row.version, moved_at=row.moved_at, moved_by=row.moved_by)


def _model_id(tenant: str, name: str) -> ScalarSelect[int]:
    return select(ModelRow.id).where(ModelRow.tenant == tenant, ModelRow.name == name).scalar_subquery()
