# SPDX-License-Identifier: Apache-2.0
"""Tunings of variants.

Revision ID: 0005_pre_tunings
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005_pre_tunings"
down_revision = "0004_pre_tenant_limits"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "tunings",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(32)),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("model", sa.String(63)),
        _required("version", sa.BigInteger()),
        _required("variant", sa.String(100)),
        _required("format", sa.String(32)),
        _required("variant_digest", sa.String(71)),
        _required("variant_signature_digest", sa.String(71)),
        _required("job_id", sa.String(32), sa.ForeignKey("jobs.id")),
        _required("created_at", sa.DateTime(timezone=True)),
        sa.Column("device", sa.String(71)),
        sa.Column("document", sa.LargeBinary()),
        sa.Column("key_id", sa.String(64)),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("job_id"),
    )
    op.create_index("ix_tunings_tenant_number", "tunings", ["tenant", "number"])
    op.create_index("ix_tunings_tenant_variant_digest", "tunings", ["tenant", "variant_digest"])


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
