# SPDX-License-Identifier: Apache-2.0
"""The declarative base and the engine.

SQLite runs in WAL mode with foreign keys on, and transactions start explicitly: ``BEGIN`` for reads, ``BEGIN IMMEDIATE``
for writes. An immediate transaction takes the write lock before its first read, so a transaction that reads and then writes
waits at its start and can never fail halfway with SQLITE_BUSY.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, MetaData, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from registry_api.db.columns import UtcDateTime

WRITE_OPTION: Final = "furoshiki_write"
"""Execution option of a connection whose transaction will write."""

_NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table; constraints have predictable names so that migrations can refer to them."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy reads a plain dict


def create_engine(url: str, *, busy_seconds: float = 30.0, foreign_keys: bool = True) -> AsyncEngine:
    """An engine for ``url``.

    Args:
        url: An SQLAlchemy URL with an async driver.
        busy_seconds: How long SQLite waits for another process's write lock.
        foreign_keys: Off only while a migration rebuilds tables.
    """
    if make_url(url).get_backend_name() != "sqlite":
        return create_async_engine(url, pool_pre_ping=True)
    engine = create_async_engine(url, connect_args={"timeout": busy_seconds})
    _prepare_sqlite(engine, foreign_keys=foreign_keys)
    return engine


def _prepare_sqlite(engine: AsyncEngine, *, foreign_keys: bool) -> None:
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver starts no transaction by itself; "begin" below does
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # a committed promotion survives power loss too
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        cursor.close()

    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get(WRITE_OPTION, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    event.listen(engine.sync_engine, "connect", connect)
    event.listen(engine.sync_engine, "begin", begin)


def is_busy(error: BaseException) -> bool:
    """Whether SQLite reports that another process holds the write lock."""
    return _sqlite_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_full(error: BaseException) -> bool:
    """Whether SQLite reports that the disk is full."""
    return _sqlite_code(error) == sqlite3.SQLITE_FULL


def _sqlite_code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None  # the low byte is the primary result code
