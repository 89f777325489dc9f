# SPDX-License-Identifier: Apache-2.0
"""The migrations make exactly the schema the code declares, from every schema before it, on both kinds of database."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from core.errors import ErrorCode, InitError, Unavailable
from deploy.local.components.postgres import PostgresDatabase
from registry_api.db import migrations, row_security
from registry_api.db.engine import WRITE_OPTION, create_engine
from registry_api.db.migrations import MigrationLimits, Phase
from registry_api.schema import METADATA
from tests.integration.registry_api.db.filling import ROWS, content, fill

BEFORE = migrations.revisions()[:-1]
UNTOUCHED = {"tenants", "models", "versions", "version_files", "variants", "uploads", "upload_files"}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind, as its owner."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    found: PostgresDatabase = request.getfixturevalue("empty_postgres")
    return found.owner_url


async def look(engine: AsyncEngine, *, write: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Fills every table first if ``write``; then every row."""
    async with engine.execution_options(**{WRITE_OPTION: write}).begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.run_sync(row_security.show, "*")
        if write:
            await connection.run_sync(fill)
        return await connection.run_sync(content)


async def test_an_empty_database_is_upgraded_to_the_declared_schema(url: str) -> None:
    """No difference between migrated schema and metadata; a second upgrade does nothing."""
    assert await migrations.migrate(url) == migrations.revisions()
    assert await migrations.migrate(url) == []
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


@pytest.mark.parametrize("revision", BEFORE)
async def test_every_schema_before_is_upgraded_with_its_data(url: str, revision: str) -> None:
    """With three rows in each table: none is lost, and what no migration changes is the same afterwards."""
    await migrations.upgrade(url, revision)
    engine = create_engine(url)
    try:
        before = await look(engine, write=True)
        assert {len(rows) for rows in before.values()} == {ROWS}
        await migrations.migrate(url)
        after = await look(engine)
    finally:
        await engine.dispose()
    gone = set(before) - set(after)
    assert gone <= {"stage_changes"}  # its rows are entries of the history now
    if gone:
        assert len(after["audit_entries"]) == ROWS
    for table in set(before) - gone:
        assert len(after[table]) >= ROWS, table
    for table in UNTOUCHED & set(before):
        kept = [{name: row[name] for name in old} for old, row in zip(before[table], after[table], strict=True)]
        assert kept == before[table]


async def test_scopes_become_roles(url: str) -> None:
    """Keys of the schema with scopes hold the role that allows at least as much."""
    await migrations.upgrade(url, "0005_pre_tunings")
    engine = create_engine(url)
    try:
        assert {tuple(row["scopes"]) for row in (await look(engine, write=True))["api_keys"]} == {("read",)}
        await migrations.migrate(url)
        assert {tuple(row["roles"]) for row in (await look(engine))["api_keys"]} == {("viewer",)}
    finally:
        await engine.dispose()


async def test_what_is_deployed_has_its_revision_and_what_runs_its_instance(url: str) -> None:
    """Of three deployments of before, each becomes revision 1, and the one that runs is known as its one instance."""
    await migrations.upgrade(url, "0016_pre_images")
    engine = create_engine(url)
    try:
        (_pending, running, _failed) = (await look(engine, write=True))["deployments"]
        await migrations.migrate(url)
        after = await look(engine)
    finally:
        await engine.dispose()
    assert [(row["deployment_id"], row["revision"], row["build_id"]) for row in after["deployment_revisions"]] == [
        (row["id"], 1, row["build_id"]) for row in after["deployments"]
    ]
    assert [row["serving_revision"] for row in after["deployments"]] == [None, 1, None]
    (instance,) = after["deployment_instances"]
    assert (instance["deployment_id"], instance["revision"], instance["state"]) == (running["id"], 1, "ready")
    assert {name: instance[name] for name in ("host", "run", "url", "pid", "tenant")} == {
        name: running[name] for name in ("host", "run", "url", "pid", "tenant")
    }


async def test_a_migration_that_fails_changes_nothing(url: str) -> None:
    """A table in the way stops the first migration; afterwards only that table exists."""
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE uploads (x INTEGER)"))
        with pytest.raises(DBAPIError):
            await migrations.migrate(url)
        assert set(await look(engine)) == {"uploads"}
    finally:
        await engine.dispose()


async def test_processes_that_start_at_once_migrate_once(url: str) -> None:
    """Of four, one runs everything and three find nothing to do."""
    done = await asyncio.gather(*(migrations.migrate(url) for _ in range(4)))
    assert sorted(done) == [[], [], [], migrations.revisions()]


async def test_a_database_that_is_newer_is_refused(url: str) -> None:
    """INIT_001 names both revisions; nothing is changed."""
    await migrations.migrate(url)
    engine = create_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999_pre_future'"))
        with pytest.raises(InitError, match=f"'9999_pre_future'.*{migrations.head()}") as caught:
            await migrations.migrate(url)
        assert caught.value.code is ErrorCode.INIT_FAILED
        assert await migrations.current(engine) == "9999_pre_future"
    finally:
        await engine.dispose()


def test_phases_of_an_upgrade() -> None:
    """Before the new release runs what is of phase pre, after the old one the rest; a new database takes everything."""
    row_security_prepared = "0012_pre_row_security"
    assert migrations.pending("0010_pre_request_log", Phase.PRE) == ["0011_pre_storage", row_security_prepared]
    assert migrations.pending(row_security_prepared, Phase.PRE) == []
    assert migrations.pending(row_security_prepared, Phase.POST)[0] == "0013_post_row_security"
    assert migrations.pending(None, Phase.PRE) == migrations.revisions()
    assert migrations.pending(migrations.head()) == []
    with pytest.raises(InitError, match="0011_pre_storage"):
        migrations.pending("0010_pre_request_log", Phase.POST)


async def test_an_old_reader_goes_on_during_the_phase_pre(empty_postgres: PostgresDatabase) -> None:
    """It knows no passes: until the phase post it sees its rows, afterwards none."""
    url = empty_postgres.owner_url
    await migrations.upgrade(url, "0011_pre_storage")
    engine = create_engine(url)
    try:
        await look(engine, write=True)
        reading = asyncio.Event()
        reader = asyncio.create_task(_read_on(engine, reading))
        assert await migrations.migrate(url, Phase.PRE) == ["0012_pre_row_security"]
        reading.set()
        assert await reader == {ROWS}
        await migrations.migrate(url, Phase.POST)
        assert await _names(engine) == 0
    finally:
        await engine.dispose()


async def _read_on(engine: AsyncEngine, enough: asyncio.Event) -> set[int]:
    found = set()
    while not enough.is_set():
        found.add(await _names(engine))
    return found | {await _names(engine)}


async def _names(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(name) FROM models"))).scalar_one())


async def test_a_migration_does_not_wait_long_for_a_table(empty_postgres: PostgresDatabase) -> None:
    """STORE_001 and nothing changed while somebody holds a table; afterwards it runs."""
    url = empty_postgres.owner_url
    await migrations.upgrade(url, "0011_pre_storage")
    engine = create_engine(url)
    try:
        async with engine.begin() as holder:
            await holder.execute(text("LOCK TABLE models IN ACCESS SHARE MODE"))
            with pytest.raises(Unavailable):
                await migrations.migrate(url, limits=MigrationLimits(lock_seconds=0.2))
        assert await migrations.current(engine) == "0011_pre_storage"
        await migrations.migrate(url, limits=MigrationLimits(lock_seconds=0.2))
        assert await migrations.current(engine) == migrations.head()
    finally:
        await engine.dispose()


def test_every_migration_names_its_number_and_phase() -> None:
    """0001_pre_..., 0002_post_...: consecutive, in one line of descent."""
    revisions = list(ScriptDirectory.from_config(migrations.configuration()).walk_revisions())[::-1]
    for number, revision in enumerate(revisions, start=1):
        assert re.fullmatch(rf"{number:04}_(pre|post)_[a-z_]+", revision.revision)
        assert Path(revision.path).stem == revision.revision
