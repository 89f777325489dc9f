# SPDX-License-Identifier: Apache-2.0
"""The transactional outbox: an event is told if and only if the change it tells of was committed.

``emit`` writes the event, and one delivery for each webhook that wants it, in the caller's own transaction. The worker
sends them later (:mod:`registry_api.webhooks.deliveries.courier`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from registry_api.db.session import Session
from registry_api.webhooks.repository import WebhookRepository
from registry_api.webhooks.values import Event, EventKind


async def emit(
    session: Session,
    *,
    tenant: str,
    kind: str,
    subject: str,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
    actor: str,
    at: datetime | None = None,
) -> None:
    """Writes an event in the transaction of the change.

    Args:
        session: The caller's writing transaction.
        tenant: Whose resource changed.
        kind: One of :class:`registry_api.webhooks.values.EventKind`.
        subject: What changed; events of one subject are told in order.
        old: The subject before, as JSON; None if it did not exist. No secrets: receivers see it.
        new: The subject after, likewise.
        actor: Who changed it.
        at: When; None: now. Nothing but the payload depends on it.

    Raises:
        ValueError: If ``kind`` is unknown.
    """
    event = Event(
        id=f"evt_{uuid4().hex}",
        tenant=tenant,
        kind=EventKind(kind),
        subject=subject,
        old=old,
        new=new,
        actor=actor,
        at=at or datetime.now(UTC),
    )
    await WebhookRepository(session).tell(event)
