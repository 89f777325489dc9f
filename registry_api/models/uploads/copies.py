# SPDX-License-Identifier: Apache-2.0
"""An upload's files in a private folder, for a child process that cannot reach the store.

A blob that lies plain on the same disk is not copied: the folder holds another name of its file, which is read-only. What is
read is in either case what was hashed.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Final

from artifacts.digest import StreamingDigest
from artifacts.manifest import FileEntry
from artifacts.stores.interface import BlobStore
from artifacts.stores.threads import Ahead, finished
from core.errors import ErrorCode, StoreError, Unavailable

_PREFIX: Final = "inspect-"
_FULL_RETRY_SECONDS: Final = 60.0


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
        Unavailable: ``STORE_004`` if the copies do not fit.
    """
    folder = await asyncio.to_thread(_make_folder, scratch)
    try:
        try:
            for entry in files:
                await _copy(store, tenant, entry, folder / entry.path)
        except OSError as error:
            raise _no_room(error) from error
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def sweep_copies(scratch: Path, before: datetime) -> int:
    """Removes the copies of inspections that were killed; returns how many. Blocks.

    Args:
        scratch: The folder they are in.
        before: Copies made later may be in use.
    """
    removed = 0
    for folder in scratch.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):
            if datetime.fromtimestamp(folder.stat().st_mtime, UTC) < before:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
    return removed


def _make_folder(scratch: Path) -> Path:
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=scratch))


async def _copy(store: BlobStore, tenant: str, entry: FileEntry, path: Path) -> None:
    seen = StreamingDigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    if await store.lend(tenant, entry.digest, path):
        return
    with await asyncio.to_thread(path.open, "xb", buffering=0) as file:
        async with aclosing(Ahead(store.stream(tenant, entry.digest))) as chunks:
            async for chunk in chunks:
                if seen.size + len(chunk) > entry.size:
                    seen.update(chunk)
                    break
                await finished(_take, chunk, seen, file)
    if seen.size > entry.size or seen.value != entry.digest:
        raise StoreError(
            ErrorCode.BLOB_CORRUPT, f"The stored file {entry.path!r} is damaged. Send it again under a new upload."
        )


def _take(chunk: bytes, seen: StreamingDigest, file: FileIO) -> None:
    seen.update(chunk)
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _no_room(error: OSError) -> Unavailable:
    return Unavailable(
        ErrorCode.STORE_FULL,
        "There is no room to inspect the model. Try again later; the operator can raise the room or set "
        "FUROSHIKI_INSPECTION__SCRATCH.",
        log_context={"cause": str(error)},
        retry_after=_FULL_RETRY_SECONDS,
    )
