# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder opened databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.components.postgres import PostgresDatabase
from registry_api.bootstrap.database import open_database
from registry_api.db.session import Database
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings


@pytest.fixture
def settings(tmp_path: Path, database: DatabaseSettings) -> Settings:
    """Those of a registry on each kind of database."""
    (tmp_path / "home").mkdir()
    return Settings(home=tmp_path / "home", database=database)


@pytest.fixture
async def either(settings: Settings) -> AsyncIterator[Database]:
    """An empty database with the present schema, of each kind."""
    database = await open_database(settings)
    yield database
    await database.close()


@pytest.fixture
def postgres_settings(tmp_path: Path, postgres_database: PostgresDatabase) -> Settings:
    """Those of a registry on PostgreSQL that does not wait long."""
    (tmp_path / "home").mkdir(exist_ok=True)
    database = DatabaseSettings(
        url=postgres_database.url,
        owner_url=postgres_database.owner_url,
        lock_seconds=0.3,
        statement_seconds=0.6,
        pool_wait_seconds=5.0,
    )
    return Settings(home=tmp_path / "home", database=database)


@pytest.fixture
async def pg(postgres_settings: Settings) -> AsyncIterator[Database]:
    """An empty database with the present schema, of PostgreSQL."""
    database = await open_database(postgres_settings)
    yield database
    await database.close()
