# SPDX-License-Identifier: Apache-2.0
"""Brings the database to the current schema, from code: there is no second configuration that could point elsewhere.

A migration's name says its phase. ``NNNN_pre_*`` runs before the new code and leaves the old code working; ``NNNN_post_*``
runs after the old code is gone. A database that is new, or a file of this machine, has no old code: there everything runs at
once.

All migrations of one run are one transaction; killed anywhere, none of them happened. Processes that start at the same moment
follow one another: SQLite by its write lock, PostgreSQL by an advisory lock. On PostgreSQL a migration waits for a table for
``lock_seconds`` and then gives up, instead of making every request queue behind it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import ErrorCode, InitError
from registry_api.db import row_security
from registry_api.db.engine import WRITE_OPTION, create_engine
from registry_api.db.faults import connecting

CONNECTION: Final = "connection"  # attribute of the Alembic configuration that carries the open connection

_FOLDER: Final = Path(__file__).parent
logging.getLogger("alembic").setLevel(logging.WARNING)  # what was run is told by our own log
_LOCK: Final = 0x6675726F  # "furo": the advisory lock of migrations


class Phase(StrEnum):
    """Which migrations to run."""

    PRE = "pre"  # before the new code: up to the first one of phase post
    POST = "post"  # after the old code is gone: everything that is left


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationLimits:
    """How long a migration may wait and work on PostgreSQL; seconds."""

    lock_seconds: float = 10.0  # for one table, and for another process's migrations
    statement_seconds: float = 600.0


def configuration() -> Config:
    """The Alembic configuration of the registry."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    return config


def revisions() -> list[str]:
    """Every revision this code knows, oldest first."""
    return [found.revision for found in ScriptDirectory.from_config(configuration()).walk_revisions()][::-1]


def head() -> str:
    """The newest revision this code knows."""
    return revisions()[-1]


def pending(current: str | None, phase: Phase | None = None) -> list[str]:
    """What is to run on a database at ``current`` (None: an empty one).

    Args:
        current: Its revision.
        phase: None: everything.

    Raises:
        InitError: ``INIT_001`` if the database is newer than this code; for ``POST``, also if the phase pre has not run.
    """
    known = revisions()
    if current is not None and current not in known:
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"The database is at revision {current!r}; this release knows up to {known[-1]!r}. "
            "Start the newer release, or restore a backup of before the upgrade.",
        )
    left = known if current is None else known[known.index(current) + 1 :]
    first_post = next((at for at, name in enumerate(left) if _phase(name) is Phase.POST), len(left))
    if phase is Phase.PRE and current is not None:
        return left[:first_post]
    if phase is Phase.POST and first_post > 0:
        raise InitError(
            ErrorCode.INIT_FAILED, f"{left[0]!r} has not run. Run the phase pre first, then start the new release."
        )
    return left


async def upgrade(url: str, revision: str = "head", *, limits: MigrationLimits | None = None) -> None:
    """Runs the pending migrations up to ``revision``.

    Raises:
        InitError: ``INIT_001`` if the database is newer than this code.
        Unavailable: ``STORE_001`` if it cannot be reached, or a lock was not to be had in time; nothing was changed.
    """
    await _run(url, limits or MigrationLimits(), revision=revision)


async def migrate(url: str, phase: Phase | None = None, *, limits: MigrationLimits | None = None) -> list[str]:
    """Runs what is pending of a phase (None: everything); what was run.

    Raises:
        InitError: ``INIT_001`` if the database is newer than this code, or the phases are out of order.
        Unavailable: ``STORE_001`` if it cannot be reached, or a lock was not to be had in time; nothing was changed.
    """
    return await _run(url, limits or MigrationLimits(), phase=phase)


async def current(engine: AsyncEngine) -> str | None:
    """The database's revision; None if it is empty."""
    with connecting():
        async with engine.connect() as connection:
            return await connection.run_sync(revision_of)


def revision_of(connection: Connection) -> str | None:
    """The database's revision; None if it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


async def _run(
    url: str, limits: MigrationLimits, *, revision: str | None = None, phase: Phase | None = None
) -> list[str]:
    engine = create_engine(url, foreign_keys=False)  # SQLite rebuilds tables; foreign keys are checked at the end
    try:
        with connecting():
            async with engine.execution_options(**{WRITE_OPTION: True}).begin() as connection:
                return await connection.run_sync(_upgrade, limits, revision, phase)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, limits: MigrationLimits, revision: str | None, phase: Phase | None) -> list[str]:
    sqlite = connection.dialect.name == "sqlite"
    if not sqlite:
        _prepare(connection, limits)
    before = revision_of(connection)
    todo = pending(before, phase if not sqlite or phase is Phase.POST else None)
    target = revision or (todo[-1] if todo else None)
    if not todo or target is None:
        return []
    config = configuration()
    config.attributes[CONNECTION] = connection
    command.upgrade(config, target)
    if sqlite:
        _check_parents(connection)
    return todo


def _prepare(connection: Connection, limits: MigrationLimits) -> None:
    for name, seconds in (("lock_timeout", limits.lock_seconds), ("statement_timeout", limits.statement_seconds)):
        connection.execute(text(f"SELECT set_config('{name}', :value, true)"), {"value": f"{round(seconds * 1000)}ms"})
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    row_security.show(connection, "*")


def _check_parents(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise RuntimeError(f"migration left {len(broken)} rows without their parent; nothing was changed")


def _phase(revision: str) -> Phase:
    return Phase(revision.split("_")[1])
