# SPDX-License-Identifier: Apache-2.0
"""How bytes become visible under their name in one step.

Object stores and the memory store do it themselves: a put is atomic, an unfinished one is invisible. On a local folder,
what obstore 0.12 does is not enough: it writes ``<name>#1`` and renames that, which is atomic, but it never calls fsync, so
after a power cut a name can stand for an empty file; and what a killed process leaves behind is hidden from its listing.
Therefore :class:`FolderPublisher` lets obstore write below ``staging/``, flushes the file, renames it itself (``rename(2)``)
and flushes the folders. After kill -9 at any moment the final name is absent or complete; ``sweep`` removes the remains.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import obstore
from obstore.store import LocalStore, ObjectStore

from artifacts.durable import sync_file, sync_folder

STAGING: Final = "staging"
PART_BYTES: Final = 5 * 1024 * 1024  # the least that S3 takes
PARTS_IN_FLIGHT: Final = 2  # bounds the memory of one put to about this many parts


class Publisher(Protocol):
    """Writes an object so that its name appears only when ``chunks`` ended without an error."""

    async def publish(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Writes ``chunks`` under ``key``."""
        ...

    async def sweep(self, before: datetime) -> int:
        """Removes what unfinished writes left behind before a moment; returns how many."""
        ...


class DirectPublisher:
    """For stores whose put is atomic. Unfinished multipart uploads are left to the bucket's lifecycle rule."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def publish(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Writes ``chunks`` under ``key`` in one atomic put."""
        await _put(self._store, key, chunks)

    async def sweep(self, before: datetime) -> int:  # noqa: ARG002 - nothing is left to sweep
        """Removes nothing: nothing is left behind."""
        return 0


class FolderPublisher:
    """For a local folder: staged, flushed, renamed, flushed."""

    def __init__(self, store: LocalStore, root: Path) -> None:
        self._store = store
        self._root = root

    async def publish(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Writes ``chunks`` below ``staging/``, then moves them to ``key`` durably."""
        staged = f"{STAGING}/{uuid.uuid4().hex}"
        try:
            await _put(self._store, staged, chunks)
            await asyncio.to_thread(_move, self._root, self._root / staged, self._root / key)
        finally:
            with contextlib.suppress(FileNotFoundError):
                (self._root / staged).unlink()

    async def sweep(self, before: datetime) -> int:
        """Removes staged files last written before a moment."""
        return await asyncio.to_thread(_sweep, self._root / STAGING, before)


async def _put(store: ObjectStore, key: str, chunks: AsyncIterator[bytes]) -> None:
    await obstore.put_async(store, key, chunks, chunk_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT)


def _move(root: Path, staged: Path, final: Path) -> None:
    sync_file(staged)
    final.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(final)
    for folder in (final.parent, *final.parent.parents):
        sync_folder(folder)
        if folder == root:
            break


def _sweep(staging: Path, before: datetime) -> int:
    removed = 0
    with contextlib.suppress(FileNotFoundError):
        for path in staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                    path.unlink()
                    removed += 1
    return removed
