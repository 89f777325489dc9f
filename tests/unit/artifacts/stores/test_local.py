# SPDX-License-Identifier: Apache-2.0
"""Lent blobs: another name of the store's own file, after it was hashed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from artifacts.stores.bucket import Bucket
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.testing import DATA, DIGEST, chunks_of, refused
from core.errors import ErrorCode


@pytest.fixture
async def store(tmp_path: Path) -> ObjectBlobStore:
    store = ObjectBlobStore.local(tmp_path / "blobs")
    await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
    return store


def stored(tmp_path: Path) -> Path:
    return next(tmp_path.glob("blobs/tenants/acme/blobs/sha256/*/*"))


async def test_a_lent_blob_is_the_file_itself(store: ObjectBlobStore, tmp_path: Path) -> None:
    """It takes no room, cannot be written by accident, and outlives the blob."""
    assert await store.lend("acme", DIGEST, tmp_path / "lent")
    assert (tmp_path / "lent").stat().st_ino == stored(tmp_path).stat().st_ino
    assert (tmp_path / "lent").stat().st_mode & 0o777 == 0o400
    await store.delete("acme", DIGEST)
    assert (tmp_path / "lent").read_bytes() == DATA


async def test_damage_is_found_however_often_it_was_lent(store: ObjectBlobStore, tmp_path: Path) -> None:
    """STORE_003 for a file that changed after it was hashed; nothing is lent."""
    assert await store.lend("acme", DIGEST, tmp_path / "lent")
    path = stored(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"?" + DATA[1:])
    with refused(ErrorCode.BLOB_CORRUPT, DIGEST):
        await store.lend("acme", DIGEST, tmp_path / "again")
    assert not (tmp_path / "again").exists()


async def test_an_absent_blob_cannot_be_lent(store: ObjectBlobStore, tmp_path: Path) -> None:
    """STORE_002; another tenant's is absent."""
    with refused(ErrorCode.BLOB_NOT_FOUND, DIGEST):
        await store.lend("globex", DIGEST, tmp_path / "lent")


async def test_what_is_no_file_is_not_lent(tmp_path: Path) -> None:
    """A store elsewhere says no, and the caller reads the bytes."""
    store = ObjectBlobStore(Bucket.memory())
    await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
    assert not await store.lend("acme", DIGEST, tmp_path / "lent")


async def test_another_disk_gets_no_link(store: ObjectBlobStore) -> None:
    """Across file systems nothing is lent."""
    other = Path("/dev/shm") / f"furoshiki-lent-{os.getpid()}"  # another disk
    assert not await store.lend("acme", DIGEST, other)
    assert not other.exists()
