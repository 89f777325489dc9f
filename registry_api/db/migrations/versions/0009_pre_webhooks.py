# SPDX-License-Identifier: Apache-2.0
"""Webhooks, the outbox of events and their deliveries.

Revision ID: 0009_pre_webhooks
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009_pre_webhooks"
down_revision = "0008_pre_catalogue"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _webhooks()
    _events()
    _deliveries()
    op.create_table(
        "webhook_attempts",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("delivery", ROW_ID, sa.ForeignKey("webhook_deliveries.number", ondelete="CASCADE")),
        _required("at", MOMENT),
        _required("milliseconds", sa.Integer()),
        sa.Column("status", sa.Integer()),
        sa.Column("error", sa.String(300)),
        sa.Column("response", sa.Text()),
    )
    op.create_index("ix_webhook_attempts_delivery_number", "webhook_attempts", ["delivery", "number"])


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(32), primary_key=True),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("url", sa.String(2000)),
        _required("description", sa.String(200)),
        _required("kinds", JSON),
        _required("models", JSON),
        _required("enabled", sa.Boolean()),
        sa.Column("disabled_reason", sa.String(200)),
        _required("secret", sa.LargeBinary()),
        sa.Column("secret_key_id", sa.String(200)),
        sa.Column("failing_since", MOMENT),
        _required("created_at", MOMENT),
        _required("created_by", sa.String(200)),
    )
    op.create_index("ix_webhooks_tenant_id", "webhooks", ["tenant", "id"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(40)),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("kind", sa.String(64)),
        _required("subject", sa.String(300)),
        sa.Column("old", JSON),
        sa.Column("new", JSON),
        _required("actor", sa.String(200)),
        _required("at", MOMENT),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ix_events_tenant_at", "events", ["tenant", "at"])


def _deliveries() -> None:
    pending = sa.text("state = 'pending'")
    op.create_table(
        "webhook_deliveries",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(32)),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("webhook", sa.String(32), sa.ForeignKey("webhooks.id", ondelete="CASCADE")),
        _required("event", ROW_ID, sa.ForeignKey("events.number", ondelete="CASCADE")),
        _required("subject", sa.String(300)),
        _required("state", sa.String(16)),
        _required("attempts", sa.Integer()),
        sa.Column("attempted_at", MOMENT),
        sa.Column("due_at", MOMENT),
        sa.Column("lease_token", sa.String(32)),
        _required("created_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.UniqueConstraint("id"),
        sa.CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state"),
        sa.CheckConstraint("state = 'pending' OR lease_token IS NULL", name="lease"),
    )
    op.create_index("ix_webhook_deliveries_webhook_number", "webhook_deliveries", ["webhook", "number"])
    op.create_index(
        "ix_webhook_deliveries_open",
        "webhook_deliveries",
        ["webhook", "subject", "number"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
    op.create_index(
        "ix_webhook_deliveries_pending",
        "webhook_deliveries",
        ["number"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
    op.create_index("ix_webhook_deliveries_tenant_ended_at", "webhook_deliveries", ["tenant", "ended_at"])
    op.create_index("ix_webhook_deliveries_event", "webhook_deliveries", ["event"])


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
