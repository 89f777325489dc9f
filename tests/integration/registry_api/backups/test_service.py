# SPDX-License-Identifier: Apache-2.0
"""Backups of a registry in use, put back, on both kinds of database."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from core.clock import SystemClock
from core.errors import Conflict, ErrorCode, InitError, StoreError
from core.tensors import Signature
from deploy.local.components.postgres import PostgresDatabase, PostgreSQL
from registry_api.backups.service import back_up, restore
from registry_api.bootstrap.platform import Platform, open_platform
from registry_api.builds.testing import register
from registry_api.db.backup import postgresql
from registry_api.db.backup.manifest import BLOBS, DATABASE, MANIFEST, read_manifest
from registry_api.db.migrations import head, revisions
from registry_api.db.session import EVERY_TENANT
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings

ROOT = Path(__file__).resolve().parents[4]
NOTHING = Signature(inputs=(), outputs=())


@pytest.fixture
def settings(tmp_path: Path, database: DatabaseSettings) -> Settings:
    return Settings(home=tmp_path / "home", database=database)


async def push(platform: Platform, data: bytes, *, tenant: str = "acme") -> None:
    """Registers a version whose file is ``data``."""
    files = {"model.onnx": data}
    await register(
        platform.db, platform.store, platform.keys, platform.clock, files=files, signature=NOTHING, tenant=tenant
    )


async def rows(settings: Settings) -> list[tuple[object, ...]]:
    """Every version of every tenant."""
    async with open_platform(settings) as platform, platform.db.read(EVERY_TENANT) as session:
        found = await session.execute(text("SELECT tenant, version, digest FROM versions ORDER BY tenant, version"))
        return [tuple(row) for row in found]


async def test_what_was_there_is_there_again(settings: Settings, tmp_path: Path) -> None:
    """Of two tenants; what was written after the backup is gone, and the registry goes on from there."""
    async with open_platform(settings) as platform:
        await push(platform, b"one")
        await push(platform, b"two", tenant="globex")
        manifest = await back_up(settings, platform.clock, tmp_path / "backup")
        await push(platform, b"three")
    assert manifest.blobs == 6  # of each version: its file, its manifest and its signature
    before = await rows(settings)
    async with open_platform(settings) as platform:
        await restore(settings, platform.store, tmp_path / "backup", replace=True, without_blobs=False)
    after = await rows(settings)
    assert [row[:2] for row in after] == [("acme", 1), ("globex", 1)]
    assert set(after) < set(before)
    async with open_platform(settings) as platform:
        await push(platform, b"four")
    assert len(await rows(settings)) == 3


async def test_a_backup_under_load_is_of_one_moment(settings: Settings, tmp_path: Path) -> None:
    """While versions are registered: every version in it is whole, and its blobs are those of its rows."""
    async with open_platform(settings) as platform:
        await push(platform, b"first")
        stop = asyncio.Event()

        async def write() -> None:
            at = 0
            while not stop.is_set():
                await push(platform, f"{at}".encode())
                at += 1

        writer = asyncio.create_task(write())
        await back_up(settings, platform.clock, tmp_path / "backup")
        stop.set()
        await writer
    await _put_back(settings, tmp_path / "backup")
    async with open_platform(settings) as platform, platform.db.read(EVERY_TENANT) as session:
        counts = [
            (await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
            for table in ("versions", "version_files", "variants")
        ]
        (last,) = (await session.execute(text("SELECT last_version FROM models"))).one()
    assert counts == [last, last, last]


async def test_a_damaged_backup_is_refused(settings: Settings, tmp_path: Path) -> None:
    """Cut short, altered in one byte, without a file or with another manifest: STORE_003, and nothing was changed."""
    backup = tmp_path / "backup"
    async with open_platform(settings) as platform:
        await push(platform, b"one")
        await back_up(settings, platform.clock, backup)
    before = await rows(settings)
    for name in (DATABASE, BLOBS, MANIFEST):
        whole = (backup / name).read_bytes()
        for damaged in (whole[:-1], whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:], None):
            (backup / name).unlink()
            if damaged is not None:
                (backup / name).write_bytes(damaged)
            with pytest.raises(StoreError) as caught:
                await _put_back(settings, backup)
            assert caught.value.code is ErrorCode.BLOB_CORRUPT
            (backup / name).write_bytes(whole)
    assert await rows(settings) == before
    await _put_back(settings, backup)


async def _put_back(settings: Settings, backup: Path) -> None:
    async with open_platform(settings) as platform:
        await restore(settings, platform.store, backup, replace=True, without_blobs=False)


async def test_missing_blobs_are_named(settings: Settings, tmp_path: Path) -> None:
    """The restore is refused before it changes anything, unless it is told to go on without them."""
    async with open_platform(settings) as platform:
        await push(platform, b"one")
        await back_up(settings, platform.clock, tmp_path / "backup")
        digest = (tmp_path / "backup" / BLOBS).read_text().split()[1]
        await platform.store.delete("acme", digest)
        with pytest.raises(StoreError, match=f"1 blobs .*acme {digest}"):
            await restore(settings, platform.store, tmp_path / "backup", replace=True, without_blobs=False)
        await restore(settings, platform.store, tmp_path / "backup", replace=True, without_blobs=True)


async def test_what_would_be_overwritten_is_refused(settings: Settings, tmp_path: Path) -> None:
    """A database with tables, unless forced; a folder that exists, always."""
    async with open_platform(settings) as platform:
        await back_up(settings, platform.clock, tmp_path / "backup")
        with pytest.raises(Conflict, match="not empty"):
            await restore(settings, platform.store, tmp_path / "backup", replace=False, without_blobs=False)
        with pytest.raises(Conflict, match="exists already"):
            await back_up(settings, platform.clock, tmp_path / "backup")


async def test_an_empty_database_takes_a_backup_without_force(
    settings: Settings, postgres: PostgreSQL, tmp_path: Path
) -> None:
    """A second registry of the same kind, elsewhere."""
    async with open_platform(settings) as platform:
        await push(platform, b"one")
        await back_up(settings, platform.clock, tmp_path / "backup")
    database = DatabaseSettings()
    if settings.database.url is not None:
        fresh = postgres.create(f"elsewhere_{os.getpid()}")
        database = DatabaseSettings(url=fresh.url, owner_url=fresh.owner_url)
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Settings(home=tmp_path / "elsewhere", database=database)
    async with open_platform(settings) as platform:  # for its store
        await restore(elsewhere, platform.store, tmp_path / "backup", replace=False, without_blobs=False)
    assert await rows(elsewhere) == await rows(settings)
    if settings.database.url is not None:
        postgres.drop(f"elsewhere_{os.getpid()}")


async def test_a_backup_of_a_newer_release_is_refused(settings: Settings, tmp_path: Path) -> None:
    """INIT_001, before anything is changed."""
    async with open_platform(settings) as platform:
        await back_up(settings, platform.clock, tmp_path / "backup")
    manifest = read_manifest(tmp_path / "backup")
    newer = type(manifest)(
        backend=manifest.backend, revision="9999_pre_future", created_at="", blobs=0, files=manifest.files
    )
    (tmp_path / "backup" / MANIFEST).write_bytes(newer.to_bytes())
    with pytest.raises(InitError, match="9999_pre_future"):
        await _put_back(settings, tmp_path / "backup")


async def test_a_database_that_was_not_migrated_is_not_backed_up(tmp_path: Path) -> None:
    """INIT_001 says to migrate it first."""
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    with pytest.raises(InitError, match="Migrate it first"):
        await back_up(settings, SystemClock(), tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


async def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without PostgreSQL's client programs: INIT_001 with the program and the package."""
    monkeypatch.setattr(postgresql, "_INSTALLED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InitError, match=r"'pg_restore' is not installed.*postgresql-client"):
        await postgresql.restore(tmp_path / "x", "postgresql+asyncpg://nobody@127.0.0.1:1/x", replace=False)


async def _command(database: PostgresDatabase, home: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of ``python -m registry_api``."""
    own = {
        "FUROSHIKI_HOME": str(home),
        "FUROSHIKI_DATABASE__URL": database.url,
        "FUROSHIKI_DATABASE__OWNER_URL": database.owner_url,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "registry_api", *words),
        cwd=ROOT,
        env={**clean, **own},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await child.communicate()
    assert child.returncode is not None
    return child.returncode, output.decode()


async def test_the_commands(postgres_database: PostgresDatabase, tmp_path: Path) -> None:
    """``migrate --check``, ``backup`` and ``restore``, with the exit codes that the help names."""
    home, backup = tmp_path / "home", str(tmp_path / "backup")
    assert await _command(postgres_database, home, "migrate", "--check") == (0, "")
    code, output = await _command(postgres_database, home, "backup", backup)
    assert (code, "needs 0 blobs" in output) == (0, True), output
    code, output = await _command(postgres_database, home, "restore", backup)
    assert (code, "not empty" in output) == (1, True), output
    code, output = await _command(postgres_database, home, "restore", backup, "--force")
    assert (code, "start the registry" in output) == (0, True), output


async def test_the_command_migrate(empty_postgres: PostgresDatabase, tmp_path: Path) -> None:
    """``--check`` lists and changes nothing, with exit code 1; the phase post is refused while others wait."""
    home = tmp_path / "home"
    assert await _command(empty_postgres, home, "migrate", "--check") == (1, "\n".join(revisions()) + "\n")
    code, output = await _command(empty_postgres, home, "migrate", "--phase", "post")
    assert (code, "Run the phase pre first" in output) == (78, True), output
    code, output = await _command(empty_postgres, home, "migrate")
    assert (code, output.splitlines()[-1]) == (0, head())
