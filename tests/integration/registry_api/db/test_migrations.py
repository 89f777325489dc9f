# SPDX-License-Identifier: Apache-2.0
"""The migrations make exactly the schema the code declares."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from registry_api.db import migrations
from registry_api.db.engine import create_engine
from registry_api.db.session import Database
from registry_api.schema import METADATA
from registry_api.tenancy.repository import TenantRepository
from registry_api.tenancy.values import Limits, Tenant


async def test_an_empty_database_is_upgraded_to_the_declared_schema(tmp_path: Path) -> None:
    """No difference between migrated schema and metadata; a second upgrade does nothing."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    await migrations.upgrade(url)
    await migrations.upgrade(url)
    engine = create_engine(url)
    try:
        assert await migrations.current(engine) == migrations.head()
        async with engine.connect() as connection:
            assert await connection.run_sync(_differences) == []
    finally:
        await engine.dispose()


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, METADATA))


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A table in the way stops the first migration; afterwards only that table exists."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE uploads (x INTEGER)"))
        failure = await asyncio.gather(migrations.upgrade(url), return_exceptions=True)
        assert isinstance(failure[0], Exception)
        async with engine.connect() as connection:
            tables = await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
            assert [row[0] for row in tables] == ["uploads"]
    finally:
        await engine.dispose()


async def test_tenants_of_the_previous_schema_have_no_limits(tmp_path: Path) -> None:
    """A database with tenants in it is upgraded: they keep what they are, and have neither limits nor features set."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    await migrations.upgrade(url, "0003_pre_upload_file_digests")
    database = Database(create_engine(url))
    try:
        async with database.write() as session:
            for name in ("acme", "globex"):
                await session.execute(
                    text("INSERT INTO tenants VALUES (:name, 'Some Ltd', '2026-01-31 09:30:00')"), {"name": name}
                )
        await migrations.upgrade(url)
        async with database.write() as session:
            tenants = TenantRepository(session)
            assert await tenants.get("acme") == Tenant(
                name="acme", display_name="Some Ltd", created_at=datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
            )
            changed = await tenants.set_limits("acme", Limits(burst=0))
            assert changed is not None
            assert changed.limits == Limits(burst=0)
            other = await tenants.get("globex")
            assert other is not None
            assert (other.limits, other.features) == (Limits(), {})
    finally:
        await database.close()


def test_every_migration_names_its_number_and_phase() -> None:
    """0001_pre_..., 0002_post_...: consecutive, in one line of descent."""
    revisions = list(ScriptDirectory.from_config(migrations.configuration()).walk_revisions())[::-1]
    for number, revision in enumerate(revisions, start=1):
        assert re.fullmatch(rf"{number:04}_(pre|post)_[a-z_]+", revision.revision)
        assert Path(revision.path).stem == revision.revision
