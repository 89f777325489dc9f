# SPDX-License-Identifier: Apache-2.0
"""Tables of webhooks, the events of the outbox, and their deliveries.

A delivery is one event on its way to one webhook. It is written with its event, in the transaction that made the change.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import Json, RowId
from registry_api.db.engine import Base

_OPEN: Final = text("state = 'pending'")


class WebhookRow(Base):
    """One webhook. ``kinds`` and ``models`` empty: all of them."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "tenant", "id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    url: Mapped[str] = mapped_column(String(2000))
    description: Mapped[str] = mapped_column(String(200))
    kinds: Mapped[list[str]] = mapped_column(Json)
    models: Mapped[list[str]] = mapped_column(Json)
    enabled: Mapped[bool]
    disabled_reason: Mapped[str | None] = mapped_column(String(200))  # None: enabled, or switched off by its owner
    secret: Mapped[bytes] = mapped_column(LargeBinary)  # wrapped if secret_key_id is set
    secret_key_id: Mapped[str | None] = mapped_column(String(200))  # the key that wraps the secret
    failing_since: Mapped[datetime | None]  # first failure since the last success
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))


class EventRow(Base):
    """One change that happened; its number is the order in which changes of one subject are told."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "tenant", "at"),)

    number: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)  # the 'webhook-id' of every delivery
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(300))
    old: Mapped[dict[str, Any] | None] = mapped_column(Json)
    new: Mapped[dict[str, Any] | None] = mapped_column(Json)
    actor: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]


class DeliveryRow(Base):
    """One event for one webhook. ``lease_token`` is set exactly while a worker sends it."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state"),
        CheckConstraint("state = 'pending' OR lease_token IS NULL", name="lease"),
        Index("ix_webhook_deliveries_webhook_number", "webhook", "number"),
        Index("ix_webhook_deliveries_open", "webhook", "subject", "number", postgresql_where=_OPEN, sqlite_where=_OPEN),
        Index("ix_webhook_deliveries_pending", "number", postgresql_where=_OPEN, sqlite_where=_OPEN),
        Index("ix_webhook_deliveries_tenant_ended_at", "tenant", "ended_at"),
        Index("ix_webhook_deliveries_event", "event"),
    )

    number: Mapped[int] = mapped_column(RowId, primary_key=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    webhook: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[int] = mapped_column(RowId, ForeignKey("events.number", ondelete="CASCADE"))
    subject: Mapped[str] = mapped_column(String(300))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]  # since it was written or asked for again
    attempted_at: Mapped[datetime | None]  # begin of the last attempt
    due_at: Mapped[datetime | None]  # None: at once
    lease_token: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class DeliveryAttemptRow(Base):
    """One attempt to deliver, and what came of it."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index(None, "delivery", "number"),)

    number: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    delivery: Mapped[int] = mapped_column(RowId, ForeignKey("webhook_deliveries.number", ondelete="CASCADE"))
    at: Mapped[datetime]
    milliseconds: Mapped[int]
    status: Mapped[int | None]  # None: no answer
    error: Mapped[str | None] = mapped_column(String(300))  # None: delivered
    response: Mapped[str | None] = mapped_column(Text)  # the beginning of the answer's body
