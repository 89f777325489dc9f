# SPDX-License-Identifier: Apache-2.0
"""Machines on which workers keep instances, so that a dead one is noticed.

They are no tenant's. Workers of before write nothing of theirs, and are believed.

Revision ID: 0018_pre_machines
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018_pre_machines"
down_revision = "0017_pre_deployment_instances"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "machines",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("beat", sa.String(32), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )
