# SPDX-License-Identifier: Apache-2.0
"""Copies of an upload's files in a private folder, for a child process that cannot reach the store."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from artifacts.digest import StreamingDigest
from artifacts.manifest import FileEntry
from artifacts.stores.interface import BlobStore
from core.errors import ErrorCode, StoreError


@asynccontextmanager
async def copied(store: BlobStore, tenant: str, files: Sequence[FileEntry], scratch: Path) -> AsyncIterator[Path]:
    """A folder that holds the files at their paths; it is removed with the block. No more than their sizes is written.

    Args:
        store: Where their bytes are.
        tenant: Whose they are.
        files: Entries whose paths are safe and distinct.
        scratch: The private folder in which the new one is made; made when missing.

    Raises:
        NotFound: ``STORE_002`` if a blob is gone.
        StoreError: ``STORE_003`` if a blob is damaged.
    """
    folder = await asyncio.to_thread(_make_folder, scratch)
    try:
        for entry in files:
            await _copy(store, tenant, entry, folder / entry.path)
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _make_folder(scratch: Path) -> Path:
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="inspect-", dir=scratch))


async def _copy(store: BlobStore, tenant: str, entry: FileEntry, path: Path) -> None:
    seen = StreamingDigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    with await asyncio.to_thread(path.open, "xb") as file:
        async for chunk in store.stream(tenant, entry.digest):
            seen.update(chunk)
            if seen.size > entry.size:
                break
            await asyncio.to_thread(file.write, chunk)
    if seen.size > entry.size or seen.value != entry.digest:
        raise StoreError(
            ErrorCode.BLOB_CORRUPT, f"The stored file {entry.path!r} is damaged. Send it again under a new upload."
        )
