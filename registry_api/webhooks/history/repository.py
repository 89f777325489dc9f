# SPDX-License-Identifier: Apache-2.0
"""Deliveries in the database, as their owners see them; and their end."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, select, update

from registry_api.db.session import Session
from registry_api.webhooks.repository import to_event
from registry_api.webhooks.tables import DeliveryAttemptRow, DeliveryRow, EventRow
from registry_api.webhooks.values import Delivery, DeliveryAttempt, DeliveryState

_GONE_AT_ONCE: Final = 1000  # rows of one sweep's transaction


class DeliveryHistory:
    """Reads deliveries, asks for them again and forgets them, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, tenant: str, webhook: str, delivery: str) -> Delivery | None:
        """One delivery, or None if this tenant's webhook has none of that id."""
        query = _deliveries(tenant, webhook).where(DeliveryRow.id == delivery)
        found = (await self._session.execute(query)).one_or_none()
        return None if found is None else _value(*found)

    async def page(
        self, tenant: str, webhook: str, *, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """Deliveries of a webhook, newest first.

        Args:
            tenant: Whose webhook.
            webhook: Its id.
            state: None: any.
            before: Only those older than this number; None starts with the newest.
            limit: At most so many.
        """
        query = _deliveries(tenant, webhook).order_by(DeliveryRow.number.desc()).limit(limit)
        if state is not None:
            query = query.where(DeliveryRow.state == state.value)
        if before is not None:
            query = query.where(DeliveryRow.number < before)
        return [_value(delivery, event) for delivery, event in await self._session.execute(query)]

    async def attempts(self, number: int) -> list[DeliveryAttempt]:
        """The attempts of a delivery, oldest first."""
        query = (
            select(DeliveryAttemptRow).where(DeliveryAttemptRow.delivery == number).order_by(DeliveryAttemptRow.number)
        )
        return [
            DeliveryAttempt(
                at=row.at, milliseconds=row.milliseconds, status=row.status, error=row.error, response=row.response
            )
            for row in await self._session.scalars(query)
        ]

    async def again(self, number: int) -> None:
        """Makes a delivery due at once with all attempts before it, unless it is being sent."""
        await self._session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.number == number, DeliveryRow.lease_token.is_(None))
            .values(state=DeliveryState.PENDING.value, attempts=0, due_at=None, ended_at=None)
            .execution_options(synchronize_session=False)
        )

    async def forget(self, before: datetime) -> int:
        """Removes some deliveries that ended before a moment, and events that no delivery needs; how many rows."""
        ended = select(DeliveryRow.number).where(DeliveryRow.ended_at < before).limit(_GONE_AT_ONCE)
        told = (
            select(EventRow.number)
            .where(EventRow.at < before, ~exists().where(DeliveryRow.event == EventRow.number))
            .limit(_GONE_AT_ONCE)
        )
        deliveries = await self._removed(DeliveryRow, DeliveryRow.number.in_(ended))
        return deliveries + await self._removed(EventRow, EventRow.number.in_(told))

    async def _removed(self, table: Any, which: ColumnElement[bool]) -> int:
        statement = delete(table).where(which).returning(table.number).execution_options(synchronize_session=False)
        return len((await self._session.scalars(statement)).all())


def _deliveries(tenant: str, webhook: str) -> Any:
    return (
        select(DeliveryRow, EventRow)
        .join(EventRow, EventRow.number == DeliveryRow.event)
        .where(DeliveryRow.tenant == tenant, DeliveryRow.webhook == webhook)
    )


def _value(row: DeliveryRow, event: EventRow) -> Delivery:
    return Delivery(
        number=row.number,
        id=row.id,
        webhook=row.webhook,
        event=to_event(event),
        state=DeliveryState(row.state),
        attempts=row.attempts,
        due_at=row.due_at,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
