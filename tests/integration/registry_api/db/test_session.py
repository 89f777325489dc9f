# SPDX-License-Identifier: Apache-2.0
"""Transactions on real SQLite files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.errors import ErrorCode, Unavailable
from registry_api.db.engine import create_engine
from registry_api.db.session import EVERY_TENANT, Database, Session


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    db = Database(create_engine(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"))
    async with db.write(EVERY_TENANT) as session:
        await session.execute(text("CREATE TABLE counter (value INTEGER)"))
        await session.execute(text("INSERT INTO counter VALUES (0)"))
    yield db
    await db.close()


async def value(session: Session) -> int:
    return int((await session.execute(text("SELECT value FROM counter"))).scalar_one())


async def increment(db: Database) -> None:
    async with db.write(EVERY_TENANT) as session:
        before = await value(session)
        await asyncio.sleep(0)
        await session.execute(text("UPDATE counter SET value = :value"), {"value": before + 1})


async def test_transactions_that_read_and_then_write_lose_nothing(db: Database, tmp_path: Path) -> None:
    """A hundred increments through two engines, as two processes have, add up to a hundred."""
    other = Database(create_engine(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"))
    await asyncio.gather(*(increment(db if at % 2 else other) for at in range(100)))
    async with db.read(EVERY_TENANT) as session:
        assert await value(session) == 100
    await other.close()


async def test_an_exception_rolls_back(db: Database) -> None:
    """Nothing of the block remains."""

    async def fail() -> None:
        async with db.write(EVERY_TENANT) as session:
            await session.execute(text("UPDATE counter SET value = 9"))
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with db.read(EVERY_TENANT) as session:
        assert await value(session) == 0


async def test_a_read_sees_one_snapshot_and_does_not_block_writers(db: Database) -> None:
    """A write that commits meanwhile is invisible until the read ends."""
    async with db.read(EVERY_TENANT) as session:
        assert await value(session) == 0
        await increment(db)
        assert await value(session) == 0
    async with db.read(EVERY_TENANT) as session:
        assert await value(session) == 1


async def test_what_a_read_transaction_writes_is_not_kept(db: Database) -> None:
    """Only ``write`` commits."""
    async with db.read(EVERY_TENANT) as session:
        await session.execute(text("UPDATE counter SET value = 9"))
    async with db.read(EVERY_TENANT) as session:
        assert await value(session) == 0


async def test_foreign_keys_are_enforced_and_the_journal_is_a_wal(db: Database) -> None:
    """Every connection has the pragmas."""
    async with db.read(EVERY_TENANT) as session:
        assert (await session.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1
        assert (await session.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        assert (await session.execute(text("PRAGMA synchronous"))).scalar_one() == 2


async def test_a_writer_that_waits_too_long_is_told_to_come_back(db: Database, tmp_path: Path) -> None:
    """STORE_001, retryable, for the turn inside the process as for the lock between processes."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"
    hasty = Database(db.engine, wait_seconds=0.01)
    stranger = Database(create_engine(url, busy_seconds=0.01), wait_seconds=0.01)
    async with hasty.write(EVERY_TENANT):
        for late in (hasty, stranger):
            with pytest.raises(Unavailable) as caught:
                await increment(late)
            assert (caught.value.code, caught.value.retryable) == (ErrorCode.STORE_UNAVAILABLE, True)
            assert caught.value.retry_after is not None
    await stranger.close()


@pytest.mark.parametrize("statement", ["SELECT nothing(:value)", "INSERT INTO counter VALUES (:value, 2)"])
async def test_what_is_bound_to_a_statement_is_in_no_error(either: Database, statement: str) -> None:
    """Errors are logged; a pass, a secret or a tenant's text is not."""
    with pytest.raises(DBAPIError) as caught:
        async with either.write(EVERY_TENANT) as session:
            await session.execute(text(statement), {"value": "hunter2"})
    assert "hunter2" not in str(caught.value)
