# SPDX-License-Identifier: Apache-2.0
"""The log of inference requests, and what was used by the hour.

Revision ID: 0010_pre_request_log
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010_pre_request_log"
down_revision = "0009_pre_webhooks"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _requests()
    op.create_table(
        "usage_hours",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("hour", MOMENT, primary_key=True),
        sa.Column("model", sa.String(63), primary_key=True),
        sa.Column("key_id", sa.String(128), primary_key=True),
        _required("requests", sa.Double()),
        _required("failures", sa.Double()),
        _required("refused", sa.Double()),
        _required("rows", sa.Double()),
        _required("compute_seconds", sa.Double()),
        _required("latencies", JSON),
    )
    op.create_table(
        "request_batches",
        sa.Column("id", sa.String(40), primary_key=True),
        _required("received_at", MOMENT),
    )
    op.create_index("ix_request_batches_received_at", "request_batches", ["received_at"])


def _requests() -> None:
    table = "inference_requests"
    failed = sa.text("code <> 'ok'")
    op.create_table(
        table,
        sa.Column("number", ROW_ID, primary_key=True),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("at", MOMENT),
        _required("model", sa.String(63)),
        sa.Column("version", sa.String(20)),
        sa.Column("request_id", sa.String(128)),
        _required("code", sa.String(32)),
        _required("protocol", sa.String(16)),
        _required("key_id", sa.String(128)),
        _required("rows", sa.Integer()),
        _required("total_us", sa.BigInteger()),
        sa.Column("queue_us", sa.BigInteger()),
        sa.Column("compute_us", sa.BigInteger()),
        sa.Column("runner", sa.String(64)),
        _required("weight", sa.Double()),
        sa.Column("metadata", JSON),
    )
    op.create_index("ix_inference_requests_tenant_at", table, ["tenant", "at", "number"])
    op.create_index("ix_inference_requests_tenant_model_at", table, ["tenant", "model", "at", "number"])
    op.create_index(
        "ix_inference_requests_failed",
        table,
        ["tenant", "at", "number"],
        postgresql_where=failed,
        sqlite_where=failed,
    )


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
