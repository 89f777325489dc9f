# SPDX-License-Identifier: Apache-2.0
"""Takes a backup of the database while it is in use, and puts one back.

A backup is a folder: the database in its own form, the list of blobs that its rows need, and a manifest with the digests of
both. Blobs themselves stay in the store, and keys in the home folder: copy them after the database, then nothing that the
backup names is missing from the copy unless it was removed in between. Restoring looks for every blob first and names those
that are missing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from artifacts.digest import Digest
from artifacts.stores.interface import BlobStore
from core.clock import Clock, rfc3339
from core.errors import Conflict, ErrorCode, InitError, StoreError
from registry_api.backups.repository import needed_blobs
from registry_api.db import migrations
from registry_api.db.backup import postgresql, sqlite
from registry_api.db.backup.manifest import BLOBS, DATABASE, MANIFEST, BackupManifest, described, read_manifest
from registry_api.db.engine import create_engine, is_sqlite
from registry_api.db.session import Session
from registry_api.settings.registry import Settings

_LOOKUPS: Final = 16  # store lookups at once
_SHOWN: Final = 20  # missing blobs named in one message


async def back_up(settings: Settings, clock: Clock, target: Path) -> BackupManifest:
    """Writes a backup to a new folder, which appears when it is complete.

    Raises:
        Conflict: ``STATE_002`` if there is something at ``target`` already.
        InitError: ``INIT_001`` if the database is not at the schema of this release, or a program is missing.
        StoreError: ``STORE_003`` if the database's own program fails.
        Unavailable: ``STORE_001`` if the database cannot be reached.
    """
    revision = await _revision(settings)
    if revision != migrations.head():
        message = f"The database is at revision {revision!r}; expected {migrations.head()!r}. Migrate it first."
        raise InitError(ErrorCode.INIT_FAILED, message)
    partial = await asyncio.to_thread(_prepare, target)
    async with _taken(settings, partial / DATABASE) as session:
        blobs = await _list_blobs(session, partial / BLOBS)
    manifest = BackupManifest(
        backend="sqlite" if is_sqlite(settings.database_url) else "postgresql",
        revision=migrations.head(),
        created_at=rfc3339(clock.now()),
        blobs=blobs,
        files=await asyncio.to_thread(described, partial, (DATABASE, BLOBS)),
    )
    await asyncio.to_thread(_publish, partial, manifest, target)
    return manifest


async def restore(
    settings: Settings, store: BlobStore, source: Path, *, replace: bool, without_blobs: bool
) -> BackupManifest:
    """Puts a backup back. Every process of the registry must have ended.

    Args:
        settings: Names the database.
        store: Where the backup's blobs should be.
        source: The backup.
        replace: Also where the database has tables already; what they hold is lost.
        without_blobs: Also where blobs are missing.

    Raises:
        StoreError: ``STORE_003`` if the backup was damaged, or naming the blobs that are missing.
        Conflict: ``STATE_001`` if the database is not empty, or of the other kind.
        InitError: ``INIT_001`` if the backup is newer than this release, or a program is missing.
    """
    manifest = await asyncio.to_thread(read_manifest, source)
    migrations.pending(manifest.revision)
    lite = is_sqlite(settings.database_url)
    if lite != (manifest.backend == "sqlite"):
        kind = "SQLite" if lite else "PostgreSQL"
        _refuse(f"The backup is of {manifest.backend}, the database is {kind}; expected the same kind.")
    url = settings.owner_url
    if not replace and not await (sqlite.is_empty(url) if lite else postgresql.is_empty(url)):
        _refuse("The database is not empty. Restore into an empty one, or say --force to lose what it holds.")
    if not without_blobs:
        await _check_blobs(store, source / BLOBS)
    if lite:
        await sqlite.restore(source / DATABASE, url)
    else:
        await postgresql.restore(source / DATABASE, url, replace=replace)
    return manifest


async def _revision(settings: Settings) -> str | None:
    engine = create_engine(settings.owner_url)
    try:
        return await migrations.current(engine)
    finally:
        await engine.dispose()


def _taken(settings: Settings, target: Path) -> AbstractAsyncContextManager[Session]:
    url = settings.owner_url
    return sqlite.taken(url, target) if is_sqlite(url) else postgresql.taken(url, target)


def _prepare(target: Path) -> Path:
    if target.exists():
        raise Conflict(
            ErrorCode.RESOURCE_EXISTS, f"{str(target)!r} exists already; a backup makes a folder of its own."
        )
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a backup that was killed
    partial.mkdir(mode=0o700, parents=True)
    return partial


async def _list_blobs(session: Session, target: Path) -> int:
    count = 0
    with target.open("w", encoding="ascii") as file:
        async for tenant, digest in needed_blobs(session):
            file.write(f"{tenant} {digest}\n")
            count += 1
    return count


def _publish(partial: Path, manifest: BackupManifest, target: Path) -> None:
    (partial / MANIFEST).write_bytes(manifest.to_bytes())
    for name in (*manifest.files, MANIFEST, "."):
        descriptor = os.open(partial / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    partial.rename(target)


async def _check_blobs(store: BlobStore, listed: Path) -> None:
    turn = asyncio.Semaphore(_LOOKUPS)
    missing: list[str] = []

    async def look(tenant: str, digest: Digest) -> None:
        async with turn:
            if await store.size(tenant, digest) is None:
                missing.append(f"{tenant} {digest}")

    for batch in _batches(listed):
        await asyncio.gather(*(look(tenant, digest) for tenant, digest in batch))
    if missing:
        raise StoreError(
            ErrorCode.BLOB_CORRUPT,
            f"{len(missing)} blobs that the backup needs are not in the store: {', '.join(sorted(missing)[:_SHOWN])}. "
            "Put the store's copy back first, or say --without-blobs.",
            details={"missing": len(missing)},
        )


def _batches(listed: Path, size: int = 1000) -> Iterator[list[tuple[str, Digest]]]:
    with listed.open(encoding="ascii") as file:
        batch: list[tuple[str, Digest]] = []
        for line in file:
            tenant, _, digest = line.strip().partition(" ")
            batch.append((tenant, digest))
            if len(batch) == size:
                yield batch
                batch = []
        yield batch


def _refuse(message: str) -> None:
    raise Conflict(ErrorCode.STATE_CONFLICT, message)
