# SPDX-License-Identifier: Apache-2.0
"""What each tenant may use of the inference services. Nullable: tenants that exist have no limits and features of their own.

Revision ID: 0004_pre_tenant_limits
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_pre_tenant_limits"
down_revision = "0003_pre_upload_file_digests"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("tenants", sa.Column("requests_per_second", sa.Double()))
    op.add_column("tenants", sa.Column("burst", sa.Integer()))
    op.add_column("tenants", sa.Column("concurrent_requests", sa.Integer()))
    op.add_column("tenants", sa.Column("features", JSON))
