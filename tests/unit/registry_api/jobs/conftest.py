# SPDX-License-Identifier: Apache-2.0
"""A registry database with the tables of jobs, on a real SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.clock import ManualClock
from registry_api.db.engine import Base, create_engine
from registry_api.db.session import Database
from registry_api.jobs import tables
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.service import JobService


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}")
    wanted = [Base.metadata.tables[row.__tablename__] for row in (tables.JobRow, tables.JobLogRow)]
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: Base.metadata.create_all(sync, tables=wanted))
    database = Database(engine)
    yield database
    await database.close()


@pytest.fixture
def service(database: Database, clock: ManualClock) -> JobService:
    return JobService(database, clock, max_attempts=3, queued=100)


@pytest.fixture
def queue(database: Database, clock: ManualClock) -> JobQueue:
    policy = LeasePolicy(seconds=30, heartbeat_seconds=0.01, retry_seconds=2, log_bytes=1000)
    return JobQueue(database, clock, policy, owner="worker-1")
