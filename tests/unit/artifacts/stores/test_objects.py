# SPDX-License-Identifier: Apache-2.0
"""A blob store in a folder: layout, damage, staging, and failures of the store itself."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from artifacts.digest import StreamingDigest, digest_bytes
from artifacts.stores.objects import ObjectBlobStore
from artifacts.testing import chunks_of, refused
from core.clock import ManualClock
from core.errors import ErrorCode, Unavailable

DATA = b"blob" * 1_000_000
DIGEST = digest_bytes(DATA)
HEX = DIGEST[7:]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def store(root: Path) -> ObjectBlobStore:
    store = ObjectBlobStore.local(root)
    await store.put("acme", chunks_of(DATA, 100_000), digest=DIGEST, size=len(DATA))
    return store


def blob(root: Path) -> Path:
    return root / "tenants" / "acme" / "blobs" / "sha256" / HEX[:2] / HEX


async def test_layout(store: ObjectBlobStore, root: Path) -> None:
    """A blob lies under its tenant and digest, staging is empty, the root is private."""
    assert files_below(root) == [blob(root)]
    assert blob(root).read_bytes() == DATA
    assert stat.S_IMODE(os.stat(root).st_mode) == 0o700


def files_below(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


async def test_another_store_on_the_folder_sees_the_blob(store: ObjectBlobStore, root: Path) -> None:
    """What was put is there after a restart."""
    assert await ObjectBlobStore.local(root).read("acme", DIGEST, limit=len(DATA)) == DATA


async def test_damage_is_found_on_read(store: ObjectBlobStore, root: Path) -> None:
    """One flipped bit makes read fail, naming the blob."""
    with blob(root).open("r+b") as file:
        file.write(b"B")
    with refused(ErrorCode.BLOB_CORRUPT, DIGEST):
        await store.read("acme", DIGEST, limit=len(DATA))


async def test_damaged_stream_is_never_complete(store: ObjectBlobStore, root: Path) -> None:
    """A damaged blob's stream ends in an error before its last piece."""
    with blob(root).open("r+b") as file:
        file.write(b"B")
    received = 0
    with refused(ErrorCode.BLOB_CORRUPT, DIGEST):
        async for piece in store.stream("acme", DIGEST):
            received += len(piece)
    assert 0 < received < len(DATA)


async def test_cut_blob_is_written_again(store: ObjectBlobStore, root: Path) -> None:
    """A blob that lost its tail is healed by putting it again."""
    os.truncate(blob(root), 5)
    await store.put("acme", chunks_of(DATA, 100_000), digest=DIGEST, size=len(DATA))
    assert await store.read("acme", DIGEST, limit=len(DATA)) == DATA


async def test_failed_put_leaves_no_staging(store: ObjectBlobStore, root: Path) -> None:
    """A refused put removes what it staged."""
    with refused(ErrorCode.DIGEST_MISMATCH):
        await store.put("acme", chunks_of(b"x" * 12_000_000, 1_000_000), digest=digest_bytes(b""), size=12_000_000)
    assert list((root / "staging").iterdir()) == []


async def test_sweep_removes_only_old_remains(root: Path) -> None:
    """Sweeping removes staged files older than the limit and leaves younger ones to their writers."""
    clock = ManualClock()
    store = ObjectBlobStore.local(root, clock=clock)
    assert await store.sweep_staging(timedelta(hours=1)) == 0
    (root / "staging").mkdir()
    ages = {"old#1": timedelta(hours=2), "old": timedelta(minutes=61), "young#1": timedelta(minutes=59)}
    for name, age in ages.items():
        (root / "staging" / name).write_bytes(b"")
        touch(root / "staging" / name, clock.now() - age)
    assert await store.sweep_staging(timedelta(hours=1)) == 2
    assert [path.name for path in (root / "staging").iterdir()] == ["young#1"]


def touch(path: Path, moment: datetime) -> None:
    os.utime(path, (moment.timestamp(), moment.timestamp()))


async def test_sweep_of_memory_does_nothing() -> None:
    """A memory store leaves nothing to sweep."""
    assert await ObjectBlobStore.memory().sweep_staging(timedelta(0)) == 0


def replace_by_file(root: Path) -> None:
    root.rmdir()
    root.write_bytes(b"not a folder")


async def test_unreachable_store_is_retryable(root: Path) -> None:
    """When the folder cannot be used the error says 'later', shows no path, and keeps the cause for the log."""
    store = ObjectBlobStore.local(root)
    replace_by_file(root)
    with pytest.raises(Unavailable) as caught:
        await store.put("acme", chunks_of(b"x"), digest=digest_bytes(b"x"), size=1)
    assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
    assert caught.value.retryable
    assert str(root) not in caught.value.message
    assert str(root) in str(caught.value.log_context)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_put_needs_constant_memory(root: Path) -> None:
    """While 200 MiB go by, the process never holds 64 MiB more than before."""
    chunk, digest = bytes(1 << 20), StreamingDigest()
    for _ in range(200):
        digest.update(chunk)
    held: list[int] = []

    async def many() -> AsyncIterator[bytes]:
        for _ in range(200):
            held.append(resident_bytes())
            yield bytes(chunk[:-1] + b"\0")

    before = resident_bytes()
    await ObjectBlobStore.local(root).put("acme", many(), digest=digest.value, size=200 << 20)
    assert len(held) == 200
    assert max(held) - before < 64 << 20
