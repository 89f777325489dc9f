# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the models and versions of one tenant."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ScalarSelect, Select, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased, selectinload

from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.models.rows import model_row, model_value, version_row, version_value
from registry_api.models.search.repository import index_model, restricted, walked
from registry_api.models.search.values import EVERY_MODEL, ModelFilter
from registry_api.models.tables import AliasRow, ModelRow, VersionRow
from registry_api.models.values import Model, Stage, Version


class ModelRepository:
    """The models of one tenant."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(self, model: Model) -> bool:
        """Writes a model without versions; False if the name is taken."""
        assert model.tenant == self._tenant
        row = model_row(model)
        try:
            async with self._session.begin_nested():
                self._session.add(row)
        except IntegrityError:
            return False
        await index_model(self._session, self._tenant, row.id)
        return True

    async def get(self, name: str, *, lock: bool = False) -> Model | None:
        """The model of that name; ``lock`` keeps others from changing it until the transaction ends."""
        query = self._query().where(ModelRow.name == name)
        if lock:
            query = query.with_for_update(of=ModelRow)
        row = (await self._session.execute(query)).one_or_none()
        return None if row is None else model_value(row[0], row[1])

    async def page(self, request: PageRequest, wanted: ModelFilter = EVERY_MODEL) -> Listing[Model]:
        """Models that fit, in the order asked for."""
        query, key = walked(restricted(self._query(), self._tenant, wanted), wanted.order, request)
        rows = (await self._session.execute(query)).all()
        page = listing(rows, request, lambda row: key(row[0]))
        items = tuple(model_value(row[0], row[1]) for row in page.items)
        return Listing(items=items, next_cursor=page.next_cursor)

    async def describe(self, model: Model) -> None:
        """Writes description, tags and time of change of a model that exists."""
        changed = (
            update(ModelRow)
            .where(ModelRow.tenant == self._tenant, ModelRow.name == model.name)
            .values(description=model.description, tags=list(model.tags), updated_at=model.updated_at)
            .returning(ModelRow.id)
        )
        await index_model(self._session, self._tenant, (await self._session.execute(changed)).scalar_one())

    async def next_version(self, name: str, at: datetime) -> int | None:
        """Takes the model's next version number inside this transaction; None if there is no such model.

        The row stays locked until the transaction ends, so numbers have no gaps and no twins.
        """
        return await self._session.scalar(
            update(ModelRow)
            .where(ModelRow.tenant == self._tenant, ModelRow.name == name)
            .values(last_version=ModelRow.last_version + 1, updated_at=at)
            .returning(ModelRow.last_version)
        )

    def _query(self) -> Select[ModelRow, int | None]:
        in_production = aliased(VersionRow)
        number = (
            select(in_production.version)
            .where(in_production.model_id == ModelRow.id, in_production.stage == Stage.PRODUCTION)
            .scalar_subquery()
        )
        return select(ModelRow, number.label("production")).where(ModelRow.tenant == self._tenant)


class VersionRepository:
    """The versions of one tenant's models."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(self, version: Version, *, created_by_key: str) -> None:
        """Writes a version whose number was taken in this transaction, with its files and variants."""
        assert version.tenant == self._tenant
        model_id = await self._session.scalar(
            select(ModelRow.id).where(ModelRow.tenant == self._tenant, ModelRow.name == version.model)
        )
        assert model_id is not None
        self._session.add(version_row(version, model_id, created_by_key))
        await index_model(self._session, self._tenant, model_id)

    async def get(self, model: str, version: int) -> Version | None:
        """One version."""
        return await self._one(model, self._query(model).where(VersionRow.version == version))

    async def in_production(self, model: str) -> Version | None:
        """The version in PRODUCTION."""
        return await self._one(model, self._query(model).where(VersionRow.stage == Stage.PRODUCTION))

    async def under_alias(self, model: str, alias: str) -> Version | None:
        """The version an alias names."""
        named = (
            select(AliasRow.version_id)
            .where(AliasRow.model_id == _model_id(self._tenant, model), AliasRow.name == alias)
            .scalar_subquery()
        )
        return await self._one(model, self._query(model).where(VersionRow.id == named))

    async def newest(self, model: str) -> Version | None:
        """The version with the highest number."""
        return await self._one(model, self._query(model).order_by(VersionRow.version.desc()).limit(1))

    async def page(
        self,
        model: str,
        request: PageRequest,
        *,
        stage: Stage | None = None,
        format: str | None = None,  # noqa: A002 - the API's word
    ) -> Listing[Version]:
        """Versions of a model, newest first; None: of whatever stage or format."""
        query = self._query(model).order_by(VersionRow.version.desc()).limit(request.limit + 1)
        if stage is not None:
            query = query.where(VersionRow.stage == stage)
        if format is not None:
            query = query.where(VersionRow.format == format)
        if (after := request.position(int)) is not None:
            query = query.where(VersionRow.version < after[0])
        rows = (await self._session.scalars(query)).all()
        return listing([version_value(row, model) for row in rows], request, lambda version: (version.version,))

    async def describe(self, version: Version) -> None:
        """Writes description and tags of a version that exists."""
        changed = (
            update(VersionRow)
            .where(
                VersionRow.tenant == self._tenant,
                VersionRow.model_id == _model_id(self._tenant, version.model),
                VersionRow.version == version.version,
            )
            .values(description=version.description, tags=list(version.tags))
            .returning(VersionRow.model_id)
        )
        await index_model(self._session, self._tenant, (await self._session.execute(changed)).scalar_one())

    async def set_stage(self, model: str, version: int, *, before: Stage, after: Stage) -> bool:
        """Moves a version; False if it does not stand in ``before``, or another one took PRODUCTION at the same time."""
        move = (
            update(VersionRow)
            .where(
                VersionRow.tenant == self._tenant,
                VersionRow.model_id == _model_id(self._tenant, model),
                VersionRow.version == version,
                VersionRow.stage == before,
            )
            .values(stage=after)
            .returning(VersionRow.id)
        )
        try:
            async with self._session.begin_nested():
                return await self._session.scalar(move) is not None
        except IntegrityError:
            return False

    def _query(self, model: str) -> Select[VersionRow]:
        return (
            select(VersionRow)
            .where(VersionRow.tenant == self._tenant, VersionRow.model_id == _model_id(self._tenant, model))
            .options(selectinload(VersionRow.files), selectinload(VersionRow.variants))
        )

    async def _one(self, model: str, query: Select[VersionRow]) -> Version | None:
        row = (await self._session.scalars(query)).one_or_none()
        return None if row is None else version_value(row, model)


def _model_id(tenant: str, name: str) -> ScalarSelect[int]:
    return select(ModelRow.id).where(ModelRow.tenant == tenant, ModelRow.name == name).scalar_subquery()
