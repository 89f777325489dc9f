# SPDX-License-Identifier: Apache-2.0
"""Deletion of versions and models: when, by whom, why, and when they are purged.

Nothing is deleted yet, so code of before sees what it saw. While processes of before run beside new ones they show what is
deleted meanwhile, because they do not know the columns.

Revision ID: 0014_pre_deletion
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014_pre_deletion"
down_revision = "0013_post_row_security"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DUE = sa.text("purge_at IS NOT NULL")


def upgrade() -> None:
    for table in ("models", "versions"):
        op.add_column(table, sa.Column("deleted_at", MOMENT))
        op.add_column(table, sa.Column("deleted_by", sa.String(200)))
        op.add_column(table, sa.Column("deletion_reason", sa.Text()))
        op.add_column(table, sa.Column("purge_at", MOMENT))
        op.create_index(f"ix_{table}_purge_at", table, ["purge_at"], sqlite_where=DUE, postgresql_where=DUE)
    op.add_column("models", sa.Column("purged_at", MOMENT))
