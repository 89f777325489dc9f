# SPDX-License-Identifier: Apache-2.0
"""Row-level security on PostgreSQL, prepared: the key of passes and the policies, without effect yet.

Code of before shows no pass and would see nothing: the policies come into force after it is gone, by the migration that
follows.

Revision ID: 0012_pre_row_security
"""

from __future__ import annotations

from alembic import op

from registry_api.db import row_security

revision = "0012_pre_row_security"
down_revision = "0011_pre_storage"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        row_security.install(connection)
        row_security.write_policies(connection, *row_security.owned_tables(connection))
