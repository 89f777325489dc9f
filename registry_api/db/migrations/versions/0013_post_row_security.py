# SPDX-License-Identifier: Apache-2.0
"""Row-level security on PostgreSQL, in force: a transaction sees the rows of the tenant whose pass it shows.

Revision ID: 0013_post_row_security
"""

from __future__ import annotations

from alembic import op

from registry_api.db import row_security

revision = "0013_post_row_security"
down_revision = "0012_pre_row_security"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        row_security.enforce(connection, *row_security.owned_tables(connection))
