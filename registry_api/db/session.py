# SPDX-License-Identifier: Apache-2.0
"""Transactions: the only way into the database.

Rules. ``read()`` sees one snapshot and never blocks writers. ``write()`` commits when its block ends and rolls back when it
raises; writers of this process queue fairly instead of polling SQLite's lock. No transaction spans long work: load, close,
work, then apply in a second transaction that checks nothing moved meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from core.errors import ErrorCode, Unavailable
from registry_api.db.engine import WRITE_OPTION, is_busy, is_full

Session: TypeAlias = AsyncSession

EVERY_TENANT: Final = "*"
"""In place of a tenant: the transaction may touch all of them. For authentication, jobs of the platform and housekeeping."""

_RETRY_SECONDS: Final = 1.0


class Database:
    """Opens transactions on one engine.

    Args:
        engine: From :func:`registry_api.db.engine.create_engine`.
        wait_seconds: How long a writer waits for its turn before it is told to come back.
    """

    def __init__(self, engine: AsyncEngine, *, wait_seconds: float = 30.0) -> None:
        self.engine: Final = engine
        self._writer: Final = engine.execution_options(**{WRITE_OPTION: True})
        self._turn: Final = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        self._wait_seconds: Final = wait_seconds

    @asynccontextmanager
    async def read(self, tenant: str = EVERY_TENANT) -> AsyncIterator[Session]:
        """A read-only transaction on one snapshot; nothing it does is committed.

        Raises:
            Unavailable: ``STORE_001`` if the database cannot be reached.
        """
        async with _translated(), AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def write(self, tenant: str = EVERY_TENANT) -> AsyncIterator[Session]:
        """A transaction that commits at the end of its block.

        Raises:
            Unavailable: ``STORE_001`` if the database is busy or cannot be reached, ``STORE_004`` if its disk is full.
        """
        session = AsyncSession(self._writer, expire_on_commit=False)
        async with _translated(), self._take_turn(), session, session.begin():
            await session.connection()  # takes SQLite's write lock now, not at the first statement
            yield session

    async def ping(self) -> None:
        """Asks the database to answer.

        Raises:
            Unavailable: ``STORE_001`` if it does not.
        """
        async with self.read() as session:
            await session.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Closes every connection; may be called twice."""
        await self.engine.dispose()

    @asynccontextmanager
    async def _take_turn(self) -> AsyncIterator[None]:
        if self._turn is None:
            yield
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise _busy(None) from None
        try:
            yield
        finally:
            self._turn.release()


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise _busy(error) from error
    except DBAPIError as error:
        cause = error.orig
        if cause is not None and is_full(cause):
            raise Unavailable(
                ErrorCode.STORE_FULL,
                "The registry's database has no room left; nothing was changed. Free disk space and repeat the request.",
                log_context={"cause": str(cause)},
            ) from error
        if error.connection_invalidated or (cause is not None and is_busy(cause)):
            raise _busy(cause) from error
        raise


def _busy(cause: BaseException | None) -> Unavailable:
    return Unavailable(
        ErrorCode.STORE_UNAVAILABLE,
        "The registry's database is busy or out of reach; nothing was changed. Repeat the request.",
        retry_after=_RETRY_SECONDS,
        log_context={"cause": str(cause)},
    )
