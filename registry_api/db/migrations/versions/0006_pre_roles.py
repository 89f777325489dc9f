# SPDX-License-Identifier: Apache-2.0
"""Keys hold roles instead of scopes, remember their use and are rotated.

Each scope becomes the role that allows at least as much.

Revision ID: 0006_pre_roles
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_pre_roles"
down_revision = "0005_pre_tunings"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

_ROLES = {
    "platform-admin": "platform-admin",
    "admin": "tenant-admin",
    "push": "developer",
    "deploy": "model-admin",
    "infer": "user",
    "read": "viewer",
    "serve": "service",
}


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("scopes", new_column_name="roles")
        keys.add_column(sa.Column("last_used_at", sa.DateTime(timezone=True)))
        keys.add_column(sa.Column("previous_hash", sa.String(64)))
        keys.add_column(sa.Column("previous_until", sa.DateTime(timezone=True)))
    keys = sa.table("api_keys", sa.column("id", sa.String), sa.column("roles", JSON))
    connection = op.get_bind()
    for key, scopes in connection.execute(sa.select(keys.c.id, keys.c.roles)).all():
        roles = sorted({_ROLES[scope] for scope in scopes})
        connection.execute(keys.update().where(keys.c.id == key).values(roles=roles))
