# SPDX-License-Identifier: Apache-2.0
"""SQLite's online backup: one snapshot, while others go on writing (sqlite.org/backup.html)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from registry_api.db.engine import create_engine
from registry_api.db.faults import unavailable
from registry_api.db.scope import EVERY_TENANT
from registry_api.db.session import Database, Session


def database_file(url: str) -> Path:
    """The file of a database."""
    return Path(str(make_url(url).database))


@asynccontextmanager
async def taken(url: str, target: Path) -> AsyncIterator[Session]:
    """Writes the database as it is at this moment to a new file; the block reads that file.

    Raises:
        Unavailable: ``STORE_001`` if it cannot be read.
    """
    await asyncio.to_thread(_copy, database_file(url), target)
    copy = Database(create_engine(f"sqlite+aiosqlite:///{target}"))
    try:
        async with copy.read(EVERY_TENANT) as session:
            yield session
    finally:
        await copy.close()  # the last one to close folds the write-ahead log into the file


async def restore(source: Path, url: str) -> None:
    """Replaces the content of the database in one transaction.

    Raises:
        Unavailable: ``STORE_001`` if another process is using it.
    """
    await asyncio.to_thread(_copy, source, database_file(url))


async def is_empty(url: str) -> bool:
    """Whether the database has no table, or there is no file yet."""
    return await asyncio.to_thread(_is_empty, database_file(url))


def _copy(source: Path, target: Path) -> None:
    with _told(), closing(sqlite3.connect(source)) as before, closing(sqlite3.connect(target)) as after:
        before.backup(after)  # all pages in one step: a writer in between does not make it start again
        (verdict,) = after.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)


def _is_empty(path: Path) -> bool:
    if not path.exists():
        return True
    with _told(), closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise unavailable(f"The database file cannot be used at the moment: {error}.", error) from error
