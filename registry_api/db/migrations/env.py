# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs on the connection that :mod:`registry_api.db.migrations` opened, inside its transaction."""

from __future__ import annotations

from alembic import context

from registry_api.db.engine import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
