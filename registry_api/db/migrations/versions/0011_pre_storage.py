# SPDX-License-Identifier: Apache-2.0
"""Requests per hour and day. Nullable: tenants that exist have no such limits of their own.

Revision ID: 0011_pre_storage
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011_pre_storage"
down_revision = "0010_pre_request_log"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tenants", sa.Column("requests_per_hour", sa.Integer()))
    op.add_column("tenants", sa.Column("requests_per_day", sa.Integer()))
