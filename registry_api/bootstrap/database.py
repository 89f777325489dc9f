# SPDX-License-Identifier: Apache-2.0
"""Opens the database that the settings name, brought to the schema of this code.

On PostgreSQL the owner's role migrates, reads the key of the passes and is not used again; everything else is done as the
application's role.
"""

from __future__ import annotations

from typing import Final

from core.errors import ErrorCode, InitError
from core.telemetry.logs import get_logger
from registry_api.db import migrations
from registry_api.db.engine import create_engine, is_sqlite
from registry_api.db.migrations import MigrationLimits, Phase
from registry_api.db.ownership import Standing, hand_over, standing
from registry_api.db.postgresql import PostgresOptions, application_name, create_postgresql
from registry_api.db.session import Database
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings

_log: Final = get_logger(__name__)


async def migrate(settings: Settings, phase: Phase | None = None) -> list[str]:
    """Runs what is pending of a phase (None: everything); what was run.

    Raises:
        InitError: ``INIT_001`` if the database is newer than this code, or the phases are out of order.
        Unavailable: ``STORE_001`` if the database cannot be reached, or a lock was not to be had in time.
    """
    given = settings.database
    limits = MigrationLimits(
        lock_seconds=given.migration_lock_seconds, statement_seconds=given.migration_statement_seconds
    )
    done = await migrations.migrate(settings.owner_url, phase, limits=limits)
    if done:
        _log.info("migrated", revisions=done)
    return done


async def pending(settings: Settings, phase: Phase | None = None) -> list[str]:
    """What :func:`migrate` would run; changes nothing.

    Raises:
        InitError: ``INIT_001`` if the database is newer than this code, or the phases are out of order.
        Unavailable: ``STORE_001`` if the database cannot be reached.
    """
    engine = create_engine(settings.owner_url)
    try:
        return migrations.pending(await migrations.current(engine), phase)
    finally:
        await engine.dispose()


async def open_database(settings: Settings) -> Database:
    """The database, after the migrations that may run while older code is still at work.

    Raises:
        InitError: ``INIT_001`` if the database is newer than this code, or its role is not bound by row-level security.
        Unavailable: ``STORE_001`` if it cannot be reached.
    """
    await migrate(settings, Phase.PRE)
    given = settings.database
    if is_sqlite(settings.database_url):
        return Database(create_engine(settings.database_url), wait_seconds=given.wait_seconds)
    passes = await hand_over(settings.owner_url, settings.database_url)
    engine = create_postgresql(settings.database_url, _options(given))
    database = Database(engine, passes=passes, wait_seconds=given.wait_seconds)
    try:
        _judge(await standing(engine), given)
    except BaseException:
        await database.close()
        raise
    return database


def _judge(found: Standing, given: DatabaseSettings) -> None:
    if found.unprotected:
        _log.warning("row_security_not_in_force", tables=found.unprotected, next="migrate --phase post")
    if not found.weaknesses:
        return
    why = "; ".join(found.weaknesses)
    if given.row_security == "require":
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"FUROSHIKI_DATABASE__URL: {why}, so row-level security does not keep tenants apart. Expected a role without "
            "these rights, and the owner's in FUROSHIKI_DATABASE__OWNER_URL; or set FUROSHIKI_DATABASE__ROW_SECURITY=warn.",
        )
    _log.warning("row_security_does_not_bind", why=why)


def _options(given: DatabaseSettings) -> PostgresOptions:
    return PostgresOptions(
        pool_size=given.pool_size,
        pool_wait=given.pool_wait_seconds,
        pool_recycle=given.pool_recycle_seconds,
        connect=given.connect_seconds,
        statement=given.statement_seconds,
        lock=given.lock_seconds,
        idle=given.idle_seconds,
        prepared_statements=given.prepared_statements,
        application=application_name(),
    )
