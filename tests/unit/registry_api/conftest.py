# SPDX-License-Identifier: Apache-2.0
"""A registry database with two tenants, on a real SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.clock import ManualClock
from registry_api import schema
from registry_api.db.engine import create_engine
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.tenancy.tables import TenantRow


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Database]:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(schema.METADATA.create_all)
    database = Database(engine)
    async with database.write(EVERY_TENANT) as session:
        for name in ("acme", "evil"):
            session.add(TenantRow(name=name, display_name=name, created_at=clock.now()))
    yield database
    await database.close()
