# SPDX-License-Identifier: Apache-2.0
"""Rows for tests of the database itself."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text

from registry_api.db.session import EVERY_TENANT, Database
from registry_api.models.tables import ModelRow
from registry_api.tenancy.tables import TenantRow

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def model_row(tenant: str, name: str) -> ModelRow:
    """A model without versions."""
    return ModelRow(tenant=tenant, name=name, description="", tags=[], last_version=0, created_at=NOW, updated_at=NOW)


async def add_tenants(db: Database, *names: str) -> None:
    """Tenants, each with one model ``digits``."""
    async with db.write(EVERY_TENANT) as session:
        for name in names:
            session.add(TenantRow(name=name, display_name=name, created_at=NOW))
            await session.flush()
            session.add(model_row(name, "digits"))


async def count(db: Database, table: str) -> int:
    """The rows of a table, of all tenants."""
    async with db.read(EVERY_TENANT) as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())
