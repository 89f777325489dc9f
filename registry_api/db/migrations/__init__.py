# SPDX-License-Identifier: Apache-2.0
"""Brings the database to the current schema, from code: there is no second configuration that could point elsewhere.

A migration's name says its phase: ``NNNN_pre_*`` runs before the new code, ``NNNN_post_*`` after the old code is gone. All
pending migrations run in one transaction; killed anywhere, none of them happened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from registry_api.db.engine import WRITE_OPTION, create_engine

CONNECTION: Final = "connection"  # attribute of the Alembic configuration that carries the open connection

_FOLDER: Final = Path(__file__).parent


def configuration() -> Config:
    """The Alembic configuration of the registry."""
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    return config


def head() -> str:
    """The newest revision this code knows."""
    revision = ScriptDirectory.from_config(configuration()).get_current_head()
    assert revision is not None  # versions/ is never empty
    return revision


async def upgrade(url: str, revision: str = "head") -> None:
    """Runs the pending migrations up to ``revision``. Call it under a lock that excludes other processes."""
    engine = create_engine(url, foreign_keys=False)  # SQLite rebuilds tables; foreign keys are checked at the end
    try:
        async with engine.execution_options(**{WRITE_OPTION: True}).begin() as connection:
            await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


async def current(engine: AsyncEngine) -> str | None:
    """The database's revision; None if it is empty."""
    async with engine.connect() as connection:
        return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())


def _upgrade(connection: Connection, revision: str) -> None:
    config = configuration()
    config.attributes[CONNECTION] = connection
    command.upgrade(config, revision)
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"migration left {len(broken)} rows without their parent; nothing was changed")
