# SPDX-License-Identifier: Apache-2.0
"""Transactions: the only way into the database, each for one tenant or expressly for all of them.

Rules. ``read()`` sees one snapshot and never blocks writers. ``write()`` commits when its block ends and rolls back when it
raises; writers of this process queue fairly instead of polling SQLite's lock. No transaction spans long work: load, close,
work, then apply in a second transaction that checks nothing moved meanwhile.

On PostgreSQL a read is REPEATABLE READ READ ONLY and a write READ COMMITTED: a write that decides by what it read takes a
lock first (:func:`registry_api.tenancy.repository.lock_tenant`) or repeats its condition in the statement. A block is never
run twice behind its author's back: after a deadlock the caller is told to repeat the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from registry_api.db.engine import WRITE_OPTION
from registry_api.db.faults import busy, committing, connecting, translated
from registry_api.db.passes import PASS_SETTING, TenantPasses
from registry_api.db.scope import EVERY_TENANT, TENANT, ScopedSession

__all__ = ["EVERY_TENANT", "Database", "Session"]

Session: TypeAlias = AsyncSession

_SHOW_PASS: Final = text(f"SELECT set_config('{PASS_SETTING}', :pass, true)")


class Database:
    """Opens transactions on one engine.

    Args:
        engine: From :func:`registry_api.db.engine.create_engine`.
        passes: Opens the rows of a tenant; needed where row-level security is in force.
        wait_seconds: How long a writer waits for its turn before it is told to come back.
    """

    def __init__(self, engine: AsyncEngine, *, passes: TenantPasses | None = None, wait_seconds: float = 30.0) -> None:
        sqlite = engine.dialect.name == "sqlite"
        self.engine: Final = engine
        self._reader: Final = engine.execution_options(**({} if sqlite else _SNAPSHOT))
        self._writer: Final = engine.execution_options(**{WRITE_OPTION: True})
        self._turn: Final = asyncio.Lock() if sqlite else None
        self._passes: Final = passes
        self._wait_seconds: Final = wait_seconds

    @asynccontextmanager
    async def read(self, tenant: str) -> AsyncIterator[Session]:
        """A read-only transaction on one snapshot; nothing it does is committed.

        Args:
            tenant: Whose rows it sees; :data:`EVERY_TENANT` for work of the platform.

        Raises:
            Unavailable: ``STORE_001`` if the database cannot be reached.
        """
        with translated():
            async with self._session(self._reader, tenant) as session:
                if self._turn is None:
                    await self._begin(session, tenant)
                yield session

    @asynccontextmanager
    async def write(self, tenant: str) -> AsyncIterator[Session]:
        """A transaction that commits at the end of its block.

        Args:
            tenant: Whose rows it sees and changes; :data:`EVERY_TENANT` for work of the platform.

        Raises:
            Unavailable: ``STORE_001`` if the database is busy or cannot be reached, ``STORE_004`` if its disk is full. If its
                details say ``outcome: unknown``, the connection was lost during the commit; otherwise nothing was changed.
            InvalidRequest: ``VALID_002`` or ``VALID_003`` if a value cannot be stored.
        """
        with translated():
            async with self._take_turn(), self._session(self._writer, tenant) as session:
                await self._begin(session, tenant)
                yield session
                await session.flush()
                with committing():
                    await session.commit()

    async def ping(self) -> None:
        """Asks the database to answer.

        Raises:
            Unavailable: ``STORE_001`` if it does not.
        """
        async with self.read(EVERY_TENANT) as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Closes every connection; may be called twice."""
        await self.engine.dispose()

    def _session(self, engine: AsyncEngine, tenant: str) -> AsyncSession:
        return AsyncSession(engine, expire_on_commit=False, sync_session_class=ScopedSession, info={TENANT: tenant})

    async def _begin(self, session: Session, tenant: str) -> None:
        """Starts the transaction now: SQLite takes its write lock, PostgreSQL learns whose rows may be seen."""
        with connecting():
            await session.connection()
            if self._passes is not None:
                await session.execute(_SHOW_PASS, {"pass": self._passes.of(tenant)})

    @asynccontextmanager
    async def _take_turn(self) -> AsyncIterator[None]:
        if self._turn is None:
            yield
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise busy(None) from None
        try:
            yield
        finally:
            self._turn.release()


_SNAPSHOT: Final = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
