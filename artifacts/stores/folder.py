# SPDX-License-Identifier: Apache-2.0
"""How bytes become visible in a local folder.

What obstore 0.12 does is not enough: it writes ``<name>#1`` and renames that, which is atomic, but it never calls fsync, so
after a power cut a name can stand for an empty file; what a killed process leaves behind is hidden from its listing; and it
has no conditional replacement. Therefore :class:`FolderPublisher` writes below ``staging/``, flushes the file while it
grows and at its end, renames it (``rename(2)``) and flushes the folders. After kill -9 at any moment the final name is
absent or complete; ``sweep`` removes the remains.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import obstore
from obstore.store import LocalStore

from artifacts.durable import sync_file, write_atomically
from artifacts.stores.local import sync_up
from artifacts.stores.threads import finished, gathered, write_at

STAGING: Final = "staging"
_FLUSH_BYTES: Final = 32 * 1024 * 1024  # written between two flushes while a file grows


class FolderPublisher:
    """A :class:`~artifacts.stores.publishing.Publisher`: staged, flushed, renamed, flushed."""

    def __init__(self, store: LocalStore, root: Path) -> None:
        self._store = store
        self._root = root

    async def publish(self, key: str, chunks: AsyncIterator[bytes], *, durable: bool) -> None:
        """Writes ``chunks`` below ``staging/``, then moves them to ``key``."""
        staged = self._root / STAGING / uuid.uuid4().hex
        try:
            await _write(staged, chunks, durable=durable)
            await asyncio.to_thread(_move, self._root, staged, self._root / key, durable=durable)
        finally:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                staged.unlink()

    async def create(self, key: str, data: bytes) -> bool:
        """See :class:`~artifacts.stores.publishing.Publisher`."""
        return await asyncio.to_thread(self._create, self._root / key, data)

    async def replace(self, key: str, data: bytes, *, expected: str) -> bool:
        """See :class:`~artifacts.stores.publishing.Publisher`."""
        return await asyncio.to_thread(self._replace, key, data, expected)

    async def delete(self, key: str) -> None:
        """See :class:`~artifacts.stores.publishing.Publisher`."""
        await asyncio.to_thread(self._delete, self._root / key)

    async def sweep(self, before: datetime) -> int:
        """Removes staged files last written before a moment."""
        return await asyncio.to_thread(_sweep, self._root / STAGING, before)

    def _create(self, path: Path, data: bytes) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            created = write_atomically(path, data, mode=0o600, replace=False)
        sync_up(self._root, path.parent)
        return created

    def _replace(self, key: str, data: bytes, expected: str) -> bool:
        with self._alone():
            try:
                found = obstore.head(self._store, key)["e_tag"]
            except FileNotFoundError:
                return False
            return found == expected and write_atomically(self._root / key, data, mode=0o600, replace=True)

    def _delete(self, path: Path) -> None:
        with self._alone():
            path.unlink()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other threads and processes from creating, replacing or deleting meanwhile."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


async def _write(path: Path, chunks: AsyncIterator[bytes], *, durable: bool) -> None:
    """Writes a new file. The disk is kept busy while bytes arrive, so that the flush at the end is short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    flushing: asyncio.Future[None] | None = None
    try:
        end, flushed = 0, 0
        async for pieces in gathered(chunks):
            end = await finished(write_at, descriptor, pieces, end)
            if durable and end - flushed >= _FLUSH_BYTES and (flushing is None or flushing.done()):
                flushing, flushed = asyncio.ensure_future(asyncio.to_thread(os.fdatasync, descriptor)), end
    finally:
        if flushing is not None:
            await asyncio.wait((flushing,))  # the descriptor is in use until then
        os.close(descriptor)
    if flushing is not None:
        flushing.result()


def _move(root: Path, staged: Path, final: Path, *, durable: bool) -> None:
    if durable:
        sync_file(staged)
    final.parent.mkdir(parents=True, exist_ok=True)
    staged.replace(final)
    if durable:
        sync_up(root, final.parent)


def _sweep(staging: Path, before: datetime) -> int:
    removed = 0
    with contextlib.suppress(FileNotFoundError):
        for path in staging.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                    path.unlink()
                    removed += 1
    return removed
