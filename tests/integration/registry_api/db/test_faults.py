# SPDX-License-Identifier: Apache-2.0
"""What callers are told when PostgreSQL is slow, full, away or dies, and when they send what no column takes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from core.errors import ErrorCode, FuroshikiError, InvalidRequest, Unavailable
from deploy.local.components.postgres import PostgresDatabase, PostgreSQL
from registry_api.bootstrap.database import open_database
from registry_api.db.engine import create_engine
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.models.tables import ModelRow
from registry_api.settings.registry import Settings
from tests.integration.registry_api.db.rows import add_tenants, count, model_row

ROOT = Path(__file__).resolve().parents[4]


async def told(work: Awaitable[object]) -> FuroshikiError:
    """What the caller of failing work is told."""
    with pytest.raises(FuroshikiError) as caught:
        await work
    return caught.value


async def run(db: Database, *statements: str, tenant: str = "acme") -> None:
    async with db.write(tenant) as session:
        for statement in statements:
            await session.execute(text(statement))


async def as_owner(database: PostgresDatabase, *statements: str) -> None:
    engine = create_engine(database.owner_url)
    async with engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)
    await engine.dispose()


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("40001", ErrorCode.STORE_UNAVAILABLE),
        ("53300", ErrorCode.STORE_UNAVAILABLE),
        ("53100", ErrorCode.STORE_FULL),
        ("54000", ErrorCode.TOO_LARGE),
        ("57P03", ErrorCode.STORE_UNAVAILABLE),
    ],
)
async def test_states_of_the_server_have_codes(pg: Database, state: str, code: ErrorCode) -> None:
    """As the server reports them: a conflict, too many connections, a full disk, a limit, a server that is starting."""
    error = await told(run(pg, f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$"))
    assert error.code is code
    assert error.retryable is (code is not ErrorCode.TOO_LARGE)


async def test_a_bug_of_ours_is_left_to_be_seen(pg: Database) -> None:
    """A wrong statement is no reason to come back."""
    with pytest.raises(DBAPIError):
        await run(pg, "SELECT nothing FROM nowhere")


async def test_a_read_changes_nothing(pg: Database) -> None:
    """The server refuses to write in a read."""

    async def write() -> None:
        async with pg.read("acme") as session:
            await session.execute(update(ModelRow).values(description="x"))

    assert "takes no changes" in (await told(write())).message


async def test_waits_and_statements_end_in_time(pg: Database) -> None:
    """A lock that is held and a statement that lasts are STORE_001 after the times of the settings, not later."""
    await add_tenants(pg, "acme")
    async with asyncio.timeout(5):
        slow = await told(run(pg, "SELECT pg_sleep(60)"))
        async with pg.write("acme") as session:
            await session.execute(update(ModelRow).values(description="first"))
            locked = await told(run(pg, "UPDATE models SET description = 'second'"))
    assert (slow.code, locked.code) == (ErrorCode.STORE_UNAVAILABLE, ErrorCode.STORE_UNAVAILABLE)
    assert ("took longer" in slow.message, "came in between" in locked.message) == (True, True)


async def test_a_deadlock_ends_one_of_the_two(pg: Database) -> None:
    """One succeeds, the other is told to repeat; nothing of it remains."""
    await add_tenants(pg, "acme", "globex")
    met = asyncio.Barrier(2)

    async def both(first: str, second: str) -> None:
        async with pg.write(EVERY_TENANT) as session:
            await session.execute(text("SET LOCAL lock_timeout = 0"))
            await session.execute(text("SET LOCAL statement_timeout = 0"))
            change = text("UPDATE models SET description = :by WHERE tenant = :tenant")
            await session.execute(change, {"by": first, "tenant": first})
            await met.wait()
            await session.execute(change, {"by": first, "tenant": second})

    answers = await asyncio.gather(both("acme", "globex"), both("globex", "acme"), return_exceptions=True)
    (refused,) = [answer for answer in answers if answer is not None]
    assert isinstance(refused, Unavailable)
    async with pg.read(EVERY_TENANT) as session:
        assert len({row[0] for row in await session.execute(text("SELECT description FROM models"))}) == 1


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", "x" * 100_000])
async def test_text_that_cannot_be_stored_is_the_callers(either: Database, value: str) -> None:
    """U+0000, half a surrogate and too long a text are refused, or stored as they are where the database can."""
    await add_tenants(either, "acme")

    async def store() -> None:
        async with either.write("acme") as session:
            session.add(model_row("acme", value))

    answer = (await asyncio.gather(store(), return_exceptions=True))[0]
    if answer is None:
        assert either.engine.dialect.name == "sqlite"
    else:
        assert isinstance(answer, InvalidRequest)
        assert answer.code in {ErrorCode.INVALID_FIELD, ErrorCode.TOO_LARGE}
    assert await count(either, "models") == (1 if answer else 2)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
async def test_numbers_beyond_64_bits_are_the_callers(either: Database, number: int) -> None:
    """In a condition as in a value."""

    async def look() -> None:
        async with either.read("acme") as session:
            await session.execute(update(ModelRow).where(ModelRow.id == number).values(description=""))

    assert (await told(look())).code is ErrorCode.INVALID_FIELD


async def test_metadata_with_a_null_character_is_the_callers(pg: Database) -> None:
    """JSON may say \\u0000, PostgreSQL's JSON may not."""

    async def store() -> None:
        async with pg.write("acme") as session:
            row = model_row("acme", "x")
            row.tags = ["a\x00b"]
            session.add(row)

    assert (await told(store())).code is ErrorCode.INVALID_FIELD


@pytest.mark.fault("PostgreSQL restarted, killed or cut off")
async def test_a_server_that_is_away_and_comes_back(postgres: PostgreSQL, pg: Database) -> None:
    """STORE_001 while it is away, for old connections and new ones; afterwards everything works without our doing."""
    await add_tenants(pg, "acme")
    await asyncio.to_thread(postgres.stop, immediate=True)
    for _ in range(3):
        error = await told(pg.ping())
        assert (error.code, error.retryable) == (ErrorCode.STORE_UNAVAILABLE, True)
    await asyncio.to_thread(postgres.start)
    assert await count(pg, "models") == 1


@pytest.mark.fault("PostgreSQL restarted, killed or cut off")
async def test_a_connection_lost_in_a_transaction_changes_nothing(
    postgres: PostgreSQL, postgres_database: PostgresDatabase, pg: Database
) -> None:
    """The server ends it between two statements: STORE_001, nothing of the first statement remains."""
    await add_tenants(pg, "acme")

    async def broken() -> None:
        async with pg.write("acme") as session:
            session.add(model_row("acme", "lost"))
            await session.flush()
            await asyncio.to_thread(_end_connections, postgres, postgres_database, "idle in transaction")
            session.add(model_row("acme", "lost too"))

    error = await told(broken())
    assert (error.code, error.details) == (ErrorCode.STORE_UNAVAILABLE, {})
    assert await count(pg, "models") == 1


@pytest.mark.fault("PostgreSQL restarted, killed or cut off")
async def test_a_connection_lost_during_the_commit_is_told_as_it_is(
    postgres: PostgreSQL, postgres_database: PostgresDatabase, pg: Database
) -> None:
    """The commit waits for a deferred trigger while the server ends the connection: the outcome is said to be unknown."""
    await add_tenants(pg, "acme")
    await as_owner(
        postgres_database,
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON models DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION dawdle()",
    )

    async def broken() -> None:
        async with pg.write("acme") as session:
            await session.execute(text("SET LOCAL statement_timeout = 0"))
            session.add(model_row("acme", "perhaps"))

    writing = asyncio.create_task(broken())
    while not await asyncio.to_thread(_end_connections, postgres, postgres_database, "active", "COMMIT;"):
        assert not writing.done()
    error = await told(writing)
    assert (error.code, error.retryable) == (ErrorCode.STORE_UNAVAILABLE, True)
    assert error.details == {"outcome": "unknown"}
    assert "may have taken effect or not" in error.message


@pytest.mark.fault("PostgreSQL restarted, killed or cut off")
async def test_a_client_that_is_killed_in_a_transaction_leaves_nothing(
    postgres_database: PostgresDatabase, pg: Database, tmp_path: Path
) -> None:
    """Its lock is free at once and its row never was."""
    await add_tenants(pg, "acme")
    words = (str(tmp_path / "home"), postgres_database.url, postgres_database.owner_url)
    command = ("-m", "tests.integration.registry_api.db.half_program", *words)
    child = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert child.stdout is not None
    while b"added" not in (line := await child.stdout.readline()):
        assert line
    assert (await told(run(pg, "SELECT FROM tenants FOR UPDATE"))).code is ErrorCode.STORE_UNAVAILABLE
    child.kill()
    await child.wait()
    await _eventually(lambda: run(pg, "SELECT FROM tenants FOR UPDATE"))
    assert await count(pg, "models") == 1


async def test_a_pool_without_a_free_connection_says_so(postgres_settings: Settings) -> None:
    """After the time of the setting, STORE_001."""
    small = postgres_settings.database.model_copy(update={"pool_size": 1, "pool_wait_seconds": 0.1})
    db = await open_database(postgres_settings.model_copy(update={"database": small}))
    async with db.read(EVERY_TENANT):
        assert (await told(db.ping())).code is ErrorCode.STORE_UNAVAILABLE
    await db.ping()
    await db.close()


def _end_connections(server: PostgreSQL, database: PostgresDatabase, state: str, query: str = "") -> bool:
    """Ends the application's connections that are in a state; whether there was one."""
    doing = f" AND query = '{query}'" if query else ""
    ended = server.sql(
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database.name}' "
        f"AND usename = 'furoshiki_app' AND state = '{state}'{doing}"
    )
    return bool(ended)


async def _eventually(attempt: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                return await attempt()
            except Unavailable:
                continue
