# SPDX-License-Identifier: Apache-2.0
"""Webhooks and the events of the outbox in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, func, select, update

from registry_api.db.session import Session
from registry_api.webhooks.tables import DeliveryRow, EventRow, WebhookRow
from registry_api.webhooks.values import DeliveryState, Event, EventKind, Webhook


class WebhookRepository:
    """Reads and writes webhooks and events inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def tell(self, event: Event) -> None:
        """Writes an event and a delivery for each webhook that wants it."""
        wanted = select(WebhookRow).where(WebhookRow.tenant == event.tenant, WebhookRow.enabled).order_by(WebhookRow.id)
        rows = await self._session.scalars(wanted)
        await self.deliver(event, [row.id for row in rows if to_webhook(row).wants(event)])

    async def deliver(self, event: Event, webhooks: Sequence[str]) -> list[str]:
        """Writes an event and a delivery for each of ``webhooks``; returns the deliveries' ids."""
        row = EventRow(
            id=event.id,
            tenant=event.tenant,
            kind=event.kind.value,
            subject=event.subject,
            old=None if event.old is None else dict(event.old),
            new=None if event.new is None else dict(event.new),
            actor=event.actor,
            at=event.at,
        )
        self._session.add(row)
        await self._session.flush()
        deliveries = [_delivery(row, webhook) for webhook in webhooks]
        self._session.add_all(deliveries)
        await self._session.flush()
        return [delivery.id for delivery in deliveries]

    async def add(self, webhook: Webhook, *, secret: bytes, secret_key_id: str | None) -> None:
        """Writes a new webhook."""
        self._session.add(
            WebhookRow(
                id=webhook.id,
                tenant=webhook.tenant,
                url=webhook.url,
                description=webhook.description,
                kinds=sorted(webhook.kinds),
                models=sorted(webhook.models),
                enabled=webhook.enabled,
                secret=secret,
                secret_key_id=secret_key_id,
                created_at=webhook.created_at,
                created_by=webhook.created_by,
            )
        )
        await self._session.flush()

    async def count(self, tenant: str) -> int:
        """How many webhooks the tenant has."""
        return await self._session.scalar(select(func.count()).where(WebhookRow.tenant == tenant)) or 0

    async def get(self, tenant: str, webhook: str) -> Webhook | None:
        """The webhook, or None if this tenant has none of that id."""
        query = select(WebhookRow).where(WebhookRow.id == webhook, WebhookRow.tenant == tenant)
        row = await self._session.scalar(query)
        return None if row is None else to_webhook(row)

    async def page(self, tenant: str, *, after: str | None, limit: int) -> list[Webhook]:
        """Webhooks of the tenant by id."""
        query = select(WebhookRow).where(WebhookRow.tenant == tenant).order_by(WebhookRow.id).limit(limit)
        if after is not None:
            query = query.where(WebhookRow.id > after)
        return [to_webhook(row) for row in await self._session.scalars(query)]

    async def change(self, tenant: str, webhook: str, values: dict[str, Any]) -> bool:
        """Sets columns of a webhook; False if this tenant has none of that id."""
        statement = (
            update(WebhookRow)
            .where(WebhookRow.id == webhook, WebhookRow.tenant == tenant)
            .values(**values)
            .returning(WebhookRow.id)
            .execution_options(synchronize_session=False)
        )
        return (await self._session.execute(statement)).one_or_none() is not None

    async def remove(self, tenant: str, webhook: str) -> bool:
        """Removes a webhook with its deliveries; False if this tenant has none of that id."""
        statement = (
            delete(WebhookRow)
            .where(WebhookRow.id == webhook, WebhookRow.tenant == tenant)
            .returning(WebhookRow.id)
            .execution_options(synchronize_session=False)
        )
        return (await self._session.execute(statement)).one_or_none() is not None


def _delivery(event: EventRow, webhook: str) -> DeliveryRow:
    return DeliveryRow(
        id=uuid4().hex,
        tenant=event.tenant,
        webhook=webhook,
        event=event.number,
        subject=event.subject,
        state=DeliveryState.PENDING.value,
        attempts=0,
        created_at=event.at,
    )


def to_event(row: EventRow) -> Event:
    """The value of a row."""
    return Event(
        id=row.id,
        tenant=row.tenant,
        kind=EventKind(row.kind),
        subject=row.subject,
        old=row.old,
        new=row.new,
        actor=row.actor,
        at=row.at,
    )


def to_webhook(row: WebhookRow) -> Webhook:
    """The value of a row."""
    return Webhook(
        id=row.id,
        tenant=row.tenant,
        url=row.url,
        description=row.description,
        kinds=frozenset(EventKind(kind) for kind in row.kinds),
        models=frozenset(row.models),
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        failing_since=row.failing_since,
        created_at=row.created_at,
        created_by=row.created_by,
    )
