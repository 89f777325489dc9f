# SPDX-License-Identifier: Apache-2.0
"""The engine for SQLite.

SQLite runs in WAL mode with foreign keys on, and transactions start explicitly: ``BEGIN`` for reads, ``BEGIN IMMEDIATE``
for writes. An immediate transaction takes the write lock before its first read, so a transaction that reads and then writes
waits at its start and can never fail halfway with SQLITE_BUSY.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

WRITE_OPTION: Final = "furoshiki_write"
"""Execution option of a connection whose transaction will write."""


def create_sqlite(url: str, *, busy_seconds: float, foreign_keys: bool) -> AsyncEngine:
    """An engine for a file.

    Args:
        url: ``sqlite+aiosqlite:///path``.
        busy_seconds: How long to wait for another process's write lock.
        foreign_keys: Off only while a migration rebuilds tables.
    """
    engine = create_async_engine(url, connect_args={"timeout": busy_seconds}, hide_parameters=True)

    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver starts no transaction by itself; "begin" below does
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # a committed promotion survives power loss too
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", connect)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get(WRITE_OPTION, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
