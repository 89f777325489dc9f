# SPDX-License-Identifier: Apache-2.0
"""Raw SQL on PostgreSQL under the application's role: the wall that holds when the code above it does not."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import InitError
from deploy.local.components.postgres import PostgresDatabase, PostgreSQL
from registry_api.bootstrap.database import open_database
from registry_api.db import row_security
from registry_api.db.engine import create_engine
from registry_api.db.session import EVERY_TENANT, Database, Session
from registry_api.schema import METADATA
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.db.rows import add_tenants, count

PLATFORM = {"machines", "request_batches"}  # tables whose rows are no tenant's
INSERT = (
    "INSERT INTO models (tenant, name, description, tags, last_version, created_at, updated_at) "
    "VALUES ('globex', 'stolen', '', '[]', 0, now(), now())"
)


@pytest.fixture(autouse=True)
async def tenants(pg: Database) -> None:
    await add_tenants(pg, "acme", "globex")


async def names(session: Session | AsyncConnection, query: str) -> list[str]:
    """The first column of a query."""
    return sorted(row[0] for row in await session.execute(text(query)))


async def test_every_table_with_rows_of_tenants_has_a_forced_policy(pg: Database) -> None:
    """Every table of the schema says whose its rows are, by itself or through its parent, and all of them are protected."""
    async with pg.engine.connect() as connection:
        protected = set(await connection.run_sync(row_security.owned_tables))
        assert await connection.run_sync(row_security.unprotected) == []
    assert protected == set(METADATA.tables) - PLATFORM


async def test_raw_sql_of_one_tenant_sees_and_changes_nothing_of_another(pg: Database) -> None:
    """Reading, updating, deleting, inserting and giving away, without a condition or with the other's name."""
    async with pg.write("acme") as session:
        assert await names(session, "SELECT tenant FROM models") == ["acme"]
        assert await names(session, "SELECT name FROM tenants WHERE name = 'globex'") == []
        changed = await names(session, "UPDATE models SET description = 'mine' RETURNING tenant")
        assert changed == ["acme"]
        assert await names(session, "DELETE FROM models WHERE tenant = 'globex' RETURNING tenant") == []
    for statement in (INSERT, "UPDATE models SET tenant = 'globex'"):
        with pytest.raises(DBAPIError, match="row-level security"):
            await _run(pg, "acme", statement)
    async with pg.read(EVERY_TENANT) as session:
        assert await names(session, "SELECT tenant || ' ' || description FROM models") == ["acme mine", "globex "]


async def test_without_a_pass_there_is_nothing(pg: Database) -> None:
    """No setting, an empty one and the bare name of a tenant are all no pass."""
    async with pg.engine.connect() as connection:
        for shown in (None, "", "acme", "*", "acme." + "0" * 64):
            if shown is not None:
                await connection.execute(text("SELECT set_config('furoshiki.tenant', :shown, true)"), {"shown": shown})
            assert await names(connection, "SELECT tenant FROM models") == []


@pytest.mark.parametrize(
    "widening",
    [
        "SELECT set_config('furoshiki.tenant', 'globex', true)",
        "SELECT set_config('furoshiki.tenant', '*', true)",
        "SELECT set_config('furoshiki.tenant', replace(current_setting('furoshiki.tenant'), 'acme', 'globex'), true)",
        "SET LOCAL row_security = off",
        "SET ROLE furoshiki",
        "SET SESSION AUTHORIZATION furoshiki",
        "ALTER TABLE models DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON models",
        "CREATE OR REPLACE FUNCTION row_security.tenant() RETURNS text LANGUAGE sql AS $$ SELECT '*' $$",
        "SELECT key FROM row_security.keys",
        "GRANT furoshiki TO furoshiki_app",
        "TRUNCATE models",
    ],
)
async def test_injected_sql_cannot_widen_what_it_sees(pg: Database, widening: str) -> None:
    """After each attempt, whether the server refuses it or not, the other tenant's rows are out of reach and whole."""
    async with pg.read("acme") as session:
        try:
            async with session.begin_nested():
                await session.execute(text(widening))
            seen = await names(session, "SELECT tenant FROM models")
        except DBAPIError:
            seen = []
    assert "globex" not in seen
    assert await count(pg, "models") == 2


async def test_rows_without_a_tenant_belong_to_whom_their_parent_belongs(pg: Database) -> None:
    """A log of a job is there for the job's tenant only."""
    async with pg.write("acme") as session:
        await session.execute(
            text(
                "INSERT INTO jobs (id, tenant, kind, state, spec, progress, step, attempt, max_attempts, cancel_requested, "
                "log_size, run_after, created_at) "
                "VALUES ('j', 'acme', 'build', 'queued', '{}', 0, '', 0, 1, false, 1, now(), now())"
            )
        )
        await session.execute(text("INSERT INTO job_logs (job_number, start, data) SELECT number, 0, 'x' FROM jobs"))
    for tenant, lines in (("acme", 1), ("globex", 0), (EVERY_TENANT, 1)):
        async with pg.read(tenant) as session:
            assert (await session.execute(text("SELECT count(*) FROM job_logs"))).scalar_one() == lines


async def test_a_role_that_is_not_bound_is_refused(
    postgres: PostgreSQL, postgres_database: PostgresDatabase, postgres_settings: Settings
) -> None:
    """A superuser, one with BYPASSRLS and the owner; with ``warn`` the registry starts all the same."""
    postgres.sql("DO $$ BEGIN CREATE ROLE bypasser LOGIN BYPASSRLS; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    for role, why in (("postgres", "superuser"), ("bypasser", "BYPASSRLS"), ("furoshiki", "owns")):
        url = postgres.url(postgres_database.name, role)
        database = DatabaseSettings(url=url, owner_url=postgres_database.owner_url)
        with pytest.raises(InitError, match=why):
            await open_database(postgres_settings.model_copy(update={"database": database}))
        lax = database.model_copy(update={"row_security": "warn"})
        opened = await open_database(postgres_settings.model_copy(update={"database": lax}))
        await opened.ping()
        await opened.close()


async def test_a_later_migration_protects_its_table(postgres_database: PostgresDatabase, pg: Database) -> None:
    """``secure`` does it at once; it refuses a table that does not say whose its rows are."""
    engine = create_engine(postgres_database.owner_url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE notes (tenant text, body text)"))
            await connection.execute(text("CREATE TABLE stray (body text)"))
            assert await connection.run_sync(row_security.unprotected) == ["notes"]
            await connection.run_sync(row_security.secure, "notes")
            assert await connection.run_sync(row_security.unprotected) == []
            with pytest.raises(ValueError, match="'stray' has no column 'tenant'"):
                await connection.run_sync(row_security.secure, "stray")
    finally:
        await engine.dispose()


async def _run(db: Database, tenant: str, statement: str) -> None:
    async with db.write(tenant) as session:
        await session.execute(text(statement))
