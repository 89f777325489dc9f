# SPDX-License-Identifier: Apache-2.0
"""A blob store in a folder when the disk is full or the process is killed. Each test runs a child process."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.encryption.keys import FileKeys
from artifacts.encryption.sealing import Sealing
from artifacts.stores.bucket import Bucket
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.parts import PartStore
from artifacts.stores.sealed import SealedBlobStore
from artifacts.stores.spans import Span
from artifacts.testing import chunks_of, refused
from core.clock import SystemClock
from core.errors import ErrorCode

SIZE = 24 << 20
DATA = bytes(SIZE)
DIGEST = digest_bytes(DATA)

CHILD = """
import asyncio, pathlib, resource, sys
from artifacts.stores.objects import ObjectBlobStore
from core.errors import FuroshikiError

root, digest, size, limit, stall = pathlib.Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

async def chunks():
    for sent in range(0, size, 1 << 20):
        yield bytes(1 << 20)
        if stall and sent >= size // 2:
            print("stalled", flush=True)
            await asyncio.Event().wait()

async def main():
    try:
        await ObjectBlobStore.local(root).put("acme", chunks(), digest=digest, size=size)
    except FuroshikiError as error:
        print(error.code, error.retryable, error.retry_after)

asyncio.run(main())
"""


def child(root: Path, *, limit: int = 0, stall: bool = False) -> subprocess.Popen[str]:
    arguments = [str(root), DIGEST, str(SIZE), str(limit), str(int(stall))]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.fault("disk full")
async def test_file_size_limit_is_a_full_store(tmp_path: Path) -> None:
    """STORE_004, retryable, when the system refuses more bytes; nothing is visible and staging is empty."""
    out, _ = child(tmp_path, limit=4 << 20).communicate(timeout=60)
    assert out.split() == ["STORE_004", "True", "60.0"]
    assert await ObjectBlobStore.local(tmp_path).size("acme", DIGEST) is None
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB: a tmpfs where this process may mount one, else one in a limit that the system enforces."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        yield from _quota_of_processes(tmp_path)
        return
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def _quota_of_processes(folder: Path) -> Iterator[Path]:
    """Without the right to mount: a limit on the length of this process's files, which the system enforces on each write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.fault("disk full")
async def test_full_disk_is_a_full_store(small_disk: Path) -> None:
    """STORE_004 on a real file system without room; nothing is left, and afterwards a smaller blob still fits."""
    store = ObjectBlobStore.local(small_disk / "blobs")
    with refused(ErrorCode.STORE_FULL, DIGEST):
        await store.put("acme", chunks_of(DATA, 1 << 20), digest=DIGEST, size=SIZE)
    assert await store.size("acme", DIGEST) is None
    assert list((small_disk / "blobs/staging").iterdir()) == []
    part = DATA[: 4 << 20]
    await store.put("acme", chunks_of(part, 1 << 20), digest=digest_bytes(part), size=len(part))


@pytest.mark.fault("disk full")
async def test_full_disk_leaves_no_encrypted_blob(small_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same where blobs are encrypted, and where a part of one is kept."""
    bucket = Bucket.local(small_disk / "blobs")
    sealing = Sealing(FileKeys(tmp_path_factory.mktemp("keys")))
    store, parts = SealedBlobStore(bucket, sealing), PartStore(bucket, sealing, SystemClock())
    with refused(ErrorCode.STORE_FULL, DIGEST):
        await store.put("acme", chunks_of(DATA, 1 << 20), digest=DIGEST, size=SIZE)
    with refused(ErrorCode.STORE_FULL):
        await parts.put("acme", DIGEST, Span(start=0, end=SIZE), chunks_of(DATA, 1 << 20))
    assert await store.size("acme", DIGEST) is None
    assert await parts.arrived("acme", DIGEST) == ()
    assert [found async for found in bucket.listing("tenants")] == []


async def test_killed_put_leaves_nothing_visible(tmp_path: Path) -> None:
    """After kill -9 midway the blob is absent; the remains are swept and the next put succeeds."""
    process = child(tmp_path, stall=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "stalled\n"
    process.kill()
    process.communicate(timeout=60)
    store = ObjectBlobStore.local(tmp_path, clock=SystemClock())
    assert await store.size("acme", DIGEST) is None
    assert len(list((tmp_path / "staging").iterdir())) == 1
    assert await store.sweep_staging(timedelta(seconds=-60)) == 1
    await store.put("acme", chunks_of(DATA, 1 << 20), digest=DIGEST, size=SIZE)
    assert await store.size("acme", DIGEST) == SIZE
