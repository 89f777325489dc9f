# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's own backup programs: ``pg_dump`` of one exported snapshot, and ``pg_restore`` in one transaction.

They run as the owner of the tables, who is bound by row-level security as well: the dump shows the pass for all tenants.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from core.errors import ErrorCode, InitError, StoreError
from registry_api.db import row_security
from registry_api.db.engine import create_engine
from registry_api.db.faults import connecting
from registry_api.db.passes import PASS_SETTING, TenantPasses
from registry_api.db.postgresql import PostgresOptions, create_postgresql
from registry_api.db.scope import EVERY_TENANT
from registry_api.db.session import Database, Session

_INSTALLED: Final = Path("/usr/lib/postgresql")
_SHOWN: Final = 500  # characters of what a program complains
_IDLE_SECONDS: Final = 24 * 3600.0  # the snapshot's transaction waits for pg_dump
_EXPORT: Final = text("SELECT pg_export_snapshot()")


@asynccontextmanager
async def taken(owner_url: str, target: Path) -> AsyncIterator[Session]:
    """Writes one state of the database to a file, in ``pg_dump``'s custom format; the block reads the same state.

    Raises:
        InitError: ``INIT_001`` if ``pg_dump`` is not installed.
        StoreError: ``STORE_003`` if it fails.
        Unavailable: ``STORE_001`` if the database cannot be reached.
    """
    engine = create_postgresql(owner_url, PostgresOptions(pool_size=1, idle=_IDLE_SECONDS))
    try:
        with connecting():
            async with engine.connect() as connection:
                passes = await connection.run_sync(row_security.read_key)
        async with Database(engine, passes=passes).read(EVERY_TENANT) as session:
            await _dump(owner_url, target, str(await session.scalar(_EXPORT)), passes)
            yield session
    finally:
        await engine.dispose()


async def _dump(owner_url: str, target: Path, snapshot: str, passes: TenantPasses | None) -> None:
    options = {} if passes is None else {"PGOPTIONS": f"-c {PASS_SETTING}={passes.of(EVERY_TENANT)}"}
    words = ("--format=custom", "--no-owner", "--no-acl", "--enable-row-security", f"--snapshot={snapshot}")
    await _run("pg_dump", *words, f"--file={target}", environment={**_address(owner_url), **options})


async def restore(source: Path, owner_url: str, *, replace: bool) -> None:
    """Fills the database from a dump in one transaction.

    Raises:
        InitError: ``INIT_001`` if ``pg_restore`` is not installed.
        StoreError: ``STORE_003`` if it fails; nothing was changed.
    """
    address = _address(owner_url)
    clean = ("--clean", "--if-exists") if replace else ()
    words = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", *clean)
    await _run("pg_restore", *words, f"--dbname={address['PGDATABASE']}", str(source), environment=address)


async def is_empty(owner_url: str) -> bool:
    """Whether the database has no table.

    Raises:
        Unavailable: ``STORE_001`` if it cannot be reached.
    """

    def look(connection: Connection) -> bool:
        return not inspect(connection).get_table_names()

    engine = create_engine(owner_url)
    try:
        with connecting():
            async with engine.connect() as connection:
                return await connection.run_sync(look)
    finally:
        await engine.dispose()


def _address(url: str) -> dict[str, str]:
    parts = make_url(url)
    given = {
        "PGHOST": parts.host,
        "PGPORT": parts.port,
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
        "PGDATABASE": parts.database,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


async def _run(program: str, *words: str, environment: Mapping[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        _path(program),
        *words,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    if process.returncode != 0:
        shown = complaint.decode(errors="replace").strip()[-_SHOWN:]
        raise StoreError(ErrorCode.BLOB_CORRUPT, f"{program} failed with status {process.returncode}: {shown}")


def _path(program: str) -> str:
    installed = sorted(_INSTALLED.glob(f"*/bin/{program}"), key=lambda path: float(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which(program)
    if found is None:
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"The program {program!r} is not installed; expected PostgreSQL's client programs, at least as new as the "
            "server (Debian: apt-get install postgresql-client).",
        )
    return found
