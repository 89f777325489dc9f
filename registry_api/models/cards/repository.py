# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the model cards of one tenant."""

from __future__ import annotations

from sqlalchemy import exists, select

from registry_api.db.session import Session
from registry_api.models.cards.tables import CardRow
from registry_api.models.cards.values import Card
from registry_api.models.tables import ModelRow, VersionRow

_OF_MODEL = 0


class CardRepository:
    """The cards of one tenant's models."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def find(self, model: str, version: int | None) -> Card | None:
        """The card that counts for a version: its own, else the model's; an empty one if nothing was said.

        Args:
            model: The model.
            version: Its version; None asks for the model's own card.

        Returns:
            None if there is no such model or version.
        """
        model_id = await self._model_id(model)
        if model_id is None or (version is not None and not await self._has(model_id, version)):
            return None
        numbers = (_OF_MODEL,) if version is None else (version, _OF_MODEL)
        query = (
            select(CardRow)
            .where(CardRow.tenant == self._tenant, CardRow.model_id == model_id, CardRow.version.in_(numbers))
            .order_by(CardRow.version.desc())
            .limit(1)
        )
        row = (await self._session.scalars(query)).one_or_none()
        return Card(tenant=self._tenant, model=model, version=None) if row is None else _card(row, model)

    async def put(self, card: Card) -> None:
        """Writes a card of a model or version that exists."""
        model_id = await self._model_id(card.model, lock=True)
        assert model_id is not None
        key = (model_id, card.version or _OF_MODEL)
        row = await self._session.get(CardRow, key)
        if row is None:
            row = CardRow(model_id=key[0], version=key[1], tenant=self._tenant)
            self._session.add(row)
        row.revision, row.fields, row.body = card.revision, dict(card.fields), card.body
        assert card.updated_at is not None
        assert card.updated_by is not None
        row.updated_at, row.updated_by = card.updated_at, card.updated_by
        await self._session.flush()

    async def lock(self, model: str) -> None:
        """Makes writers of one model's cards follow one another."""
        await self._model_id(model, lock=True)

    async def _model_id(self, model: str, *, lock: bool = False) -> int | None:
        query = select(ModelRow.id).where(ModelRow.tenant == self._tenant, ModelRow.name == model)
        query = query.where(ModelRow.deleted_at.is_(None))
        return await self._session.scalar(query.with_for_update() if lock else query)

    async def _has(self, model_id: int, version: int) -> bool:
        there = (VersionRow.version == version, VersionRow.deleted_at.is_(None))
        query = select(exists().where(VersionRow.model_id == model_id, *there))
        return bool(await self._session.scalar(query))


def _card(row: CardRow, model: str) -> Card:
    return Card(
        tenant=row.tenant,
        model=model,
        version=row.version or None,
        revision=row.revision,
        fields=row.fields,
        body=row.body,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )
