# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the models and versions of one tenant.

Rule: what was deleted is found only where ``deleted`` says so, and a version of a deleted model nowhere.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, Select, exists, func, not_, select, update
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
        """Writes a model without versions; False if the name is taken.

        The name of a model that was purged wholly is free; the new one goes on counting where that one stopped.
        """
        assert model.tenant == self._tenant
        row = model_row(model)
        model_id: int | None
        try:
            async with self._session.begin_nested():
                self._session.add(row)
            model_id = row.id
        except IntegrityError:
            model_id = await self._take_over(model)
        if model_id is None:
            return False
        await index_model(self._session, self._tenant, model_id)
        return True

    async def get(self, name: str, *, lock: bool = False, deleted: bool = False) -> Model | None:
        """The model of that name; ``lock`` keeps others from changing it until the transaction ends.

        Args:
            name: Its name.
            lock: As said.
            deleted: Only if it is deleted and not purged yet; otherwise only if it is not deleted.
        """
        query = self._query(deleted=deleted).where(ModelRow.name == name)
        if lock:
            query = query.with_for_update(of=ModelRow)
        row = (await self._session.execute(query)).one_or_none()
        return None if row is None else model_value(row[0], latest=row[1], production=row[2])

    async def page(self, request: PageRequest, wanted: ModelFilter = EVERY_MODEL) -> Listing[Model]:
        """Models that fit, in the order asked for."""
        query = restricted(self._query(deleted=wanted.deleted), self._tenant, wanted)
        query, key = walked(query, wanted.order, request)
        rows = (await self._session.execute(query)).all()
        page = listing(rows, request, lambda row: key(row[0]))
        items = tuple(model_value(row[0], latest=row[1], production=row[2]) for row in page.items)
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
            .where(ModelRow.tenant == self._tenant, ModelRow.name == name, ModelRow.deleted_at.is_(None))
            .values(last_version=ModelRow.last_version + 1, updated_at=at)
            .returning(ModelRow.last_version)
        )

    async def _take_over(self, model: Model) -> int | None:
        """Makes the row that a purged model left the row of a new one; its id, None if there is no such row."""
        row = model_row(model)
        return await self._session.scalar(
            update(ModelRow)
            .where(
                *(ModelRow.tenant == self._tenant, ModelRow.name == model.name, ModelRow.purged_at.is_not(None)),
                not_(exists().where(VersionRow.model_id == ModelRow.id)),
            )
            .values(description=row.description, tags=row.tags, created_at=row.created_at, updated_at=row.updated_at)
            .values(deleted_at=None, deleted_by=None, deletion_reason=None, purge_at=None, purged_at=None)
            .returning(ModelRow.id)
        )

    def _query(self, *, deleted: bool) -> Select[ModelRow, int | None, int | None]:
        some, in_production = aliased(VersionRow), aliased(VersionRow)
        latest = select(func.max(some.version)).where(some.model_id == ModelRow.id, some.deleted_at.is_(None))
        number = select(in_production.version).where(
            in_production.model_id == ModelRow.id, in_production.stage == Stage.PRODUCTION
        )
        shown = (ModelRow.deleted_at.is_not(None), ModelRow.purged_at.is_(None))
        return select(ModelRow, latest.scalar_subquery(), number.scalar_subquery()).where(
            ModelRow.tenant == self._tenant, *(shown if deleted else (ModelRow.deleted_at.is_(None),))
        )


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

    async def get(self, model: str, version: int, *, deleted: bool = False) -> Version | None:
        """One version; if ``deleted``, only if it is deleted, otherwise only if it is not."""
        return await self._one(model, self._query(model, deleted=deleted).where(VersionRow.version == version))

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
        deleted: bool = False,
    ) -> Listing[Version]:
        """Versions of a model, newest first; None: of whatever stage or format. Deleted ones, or the others."""
        query = self._query(model, deleted=deleted).order_by(VersionRow.version.desc()).limit(request.limit + 1)
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

    def _query(self, model: str, *, deleted: bool = False) -> Select[VersionRow]:
        return (
            select(VersionRow)
            .where(
                VersionRow.tenant == self._tenant,
                VersionRow.model_id == _model_id(self._tenant, model),
                is_deleted(deleted=deleted),
            )
            .options(selectinload(VersionRow.files), selectinload(VersionRow.variants))
        )

    async def _one(self, model: str, query: Select[VersionRow]) -> Version | None:
        row = (await self._session.scalars(query)).one_or_none()
        return None if row is None else version_value(row, model)


async def hold_version(session: Session, tenant: str, model: str, version: int) -> bool:
    """Keeps a version from being deleted until the transaction ends; False if it is deleted, or there is none.

    For transactions that make something of a version they found before.
    """
    query = (
        select(VersionRow.id)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(ModelRow.tenant == tenant, ModelRow.name == model, ModelRow.deleted_at.is_(None))
        .where(VersionRow.version == version, is_deleted(deleted=False))
        .with_for_update(read=True, key_share=True, of=ModelRow)
    )
    return await session.scalar(query) is not None


def is_deleted(*, deleted: bool) -> ColumnElement[bool]:
    """The condition that a version itself is, or is not, deleted."""
    return VersionRow.deleted_at.is_not(None) if deleted else VersionRow.deleted_at.is_(None)


def _model_id(tenant: str, name: str) -> ScalarSelect[int]:
    found = select(ModelRow.id).where(ModelRow.tenant == tenant, ModelRow.name == name, ModelRow.deleted_at.is_(None))
    return found.scalar_subquery()
