# SPDX-License-Identifier: Apache-2.0
"""Deliveries in the database, as the courier needs them.

Claiming is one ``UPDATE … WHERE number = (SELECT … FOR UPDATE SKIP LOCKED) RETURNING``; whatever is recorded later carries
the token of the lease. The oldest open delivery of a webhook's subject goes first, the next one when that has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from registry_api.db.session import Session
from registry_api.webhooks.repository import to_event
from registry_api.webhooks.secrets import StoredSecret
from registry_api.webhooks.tables import DeliveryAttemptRow, DeliveryRow, EventRow, WebhookRow
from registry_api.webhooks.values import DeliveryAttempt, DeliveryState, Event

_SKEW: Final = timedelta(seconds=60)  # an attempt further in the future was made before the clock was set back
_PENDING: Final = DeliveryState.PENDING.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process sends now."""

    number: int
    token: str
    attempts: int  # this one included
    webhook: str
    url: str
    secret: StoredSecret
    event: Event


class DeliveryRepository:
    """Reads and writes deliveries inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim(self, *, token: str, now: datetime, per_webhook: int) -> Claimed | None:
        """Takes the lease of the oldest delivery that is due; None if there is none.

        Args:
            token: Of the new lease.
            now: Decides what is due.
            per_webhook: Deliveries of one webhook that may be under way at a time.
        """
        candidate = (
            select(DeliveryRow.number)
            .where(DeliveryRow.lease_token.is_(None), *_sendable(now, per_webhook))
            .order_by(DeliveryRow.number)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(DeliveryRow)
            .where(DeliveryRow.number == candidate.scalar_subquery(), DeliveryRow.lease_token.is_(None))
            .values(lease_token=token, attempts=DeliveryRow.attempts + 1, attempted_at=now)
            .returning(DeliveryRow.number)
            .execution_options(synchronize_session=False)
        )
        number = (await self._session.scalars(statement)).one_or_none()
        return None if number is None else await self._claimed(number, token)

    async def _claimed(self, number: int, token: str) -> Claimed:
        query = (
            select(DeliveryRow, EventRow, WebhookRow)
            .join(EventRow, EventRow.number == DeliveryRow.event)
            .join(WebhookRow, WebhookRow.id == DeliveryRow.webhook)
            .where(DeliveryRow.number == number)
        )
        delivery, event, webhook = (await self._session.execute(query)).one()
        return Claimed(
            number=number,
            token=token,
            attempts=delivery.attempts,
            webhook=webhook.id,
            url=webhook.url,
            secret=StoredSecret(data=webhook.secret, key_id=webhook.secret_key_id),
            event=to_event(event),
        )

    async def held(self) -> dict[int, str]:
        """The tokens of all leases."""
        query = select(DeliveryRow.number, DeliveryRow.lease_token).where(
            DeliveryRow.state == _PENDING, DeliveryRow.lease_token.is_not(None)
        )
        return {number: token for number, token in await self._session.execute(query) if token is not None}

    async def release(self, number: int, token: str) -> None:
        """Ends a lease without an outcome; the delivery is due at once."""
        await self._session.execute(_of_lease(number, token).values(lease_token=None, due_at=None))

    async def settle(
        self, claimed: Claimed, attempt: DeliveryAttempt, *, state: DeliveryState, due_at: datetime | None
    ) -> bool:
        """Records what came of an attempt; False (and nothing written) if the lease is lost.

        Args:
            claimed: The delivery.
            attempt: For the log.
            state: PENDING if it is to be tried again.
            due_at: When, then; else None.
        """
        ended_at = None if state is DeliveryState.PENDING else attempt.at
        values = {"state": state.value, "due_at": due_at, "ended_at": ended_at, "lease_token": None}
        statement = _of_lease(claimed.number, claimed.token).values(**values).returning(DeliveryRow.number)
        if (await self._session.execute(statement)).one_or_none() is None:
            return False
        self._session.add(
            DeliveryAttemptRow(
                tenant=claimed.event.tenant,
                delivery=claimed.number,
                at=attempt.at,
                milliseconds=attempt.milliseconds,
                status=attempt.status,
                error=attempt.error,
                response=attempt.response,
            )
        )
        await self._session.flush()
        return True

    async def receiver_works(self, webhook: str) -> None:
        """Forgets the failures of a webhook."""
        failed = WebhookRow.failing_since.is_not(None)
        await self._session.execute(
            update(WebhookRow)
            .where(WebhookRow.id == webhook, failed)
            .values(failing_since=None)
            .execution_options(synchronize_session=False)
        )

    async def receiver_fails(self, webhook: str, now: datetime) -> datetime:
        """Notes a failure of a webhook; since when it fails."""
        statement = (
            update(WebhookRow)
            .where(WebhookRow.id == webhook)
            .values(failing_since=func.coalesce(WebhookRow.failing_since, now, type_=WebhookRow.failing_since.type))
            .returning(WebhookRow.failing_since)
            .execution_options(synchronize_session=False)
        )
        return (await self._session.scalars(statement)).one_or_none() or now

    async def disable(self, webhook: str, reason: str) -> None:
        """Switches a webhook off; what is open stays open until it is switched on again."""
        await self._session.execute(
            update(WebhookRow)
            .where(WebhookRow.id == webhook)
            .values(enabled=False, disabled_reason=reason)
            .execution_options(synchronize_session=False)
        )


def _sendable(now: datetime, per_webhook: int) -> tuple[ColumnElement[bool], ...]:
    earlier, under_way = aliased(DeliveryRow), aliased(DeliveryRow)
    due = or_(DeliveryRow.due_at.is_(None), DeliveryRow.due_at <= now, DeliveryRow.attempted_at > now + _SKEW)
    first = ~exists().where(
        earlier.webhook == DeliveryRow.webhook,
        earlier.subject == DeliveryRow.subject,
        earlier.state == _PENDING,
        earlier.number < DeliveryRow.number,
    )
    busy = (
        select(func.count())
        .where(
            under_way.webhook == DeliveryRow.webhook,
            under_way.state == _PENDING,
            under_way.lease_token.is_not(None),
        )
        .scalar_subquery()
    )
    enabled = exists().where(WebhookRow.id == DeliveryRow.webhook, WebhookRow.enabled)
    return DeliveryRow.state == _PENDING, due, enabled, first, busy < per_webhook


def _of_lease(number: int, token: str) -> Any:
    held = and_(DeliveryRow.number == number, DeliveryRow.lease_token == token)
    return update(DeliveryRow).where(held).execution_options(synchronize_session=False)
