# SPDX-License-Identifier: Apache-2.0
"""Parts in place: what is written becomes the blob without a copy, and only ever the bytes that were hashed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.stores.bucket import Bucket
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.parts import PartStore
from artifacts.stores.spans import Span
from artifacts.stores.testing import broken, chunks_of, gathered, refused
from core.clock import SystemClock
from core.errors import ErrorCode

DATA = os.urandom(3_000_000)
DIGEST = digest_bytes(DATA)
SPANS = [Span(start=start, end=start + 1_000_000) for start in (0, 1_000_000, 2_000_000)]

_WRITER = """
import asyncio, sys
from pathlib import Path
from artifacts.stores.bucket import Bucket
from artifacts.stores.parts import PartStore
from artifacts.stores.spans import Span
from core.clock import SystemClock

async def stalled():
    yield bytes(1 << 20)
    print("stalled", flush=True)
    await asyncio.Event().wait()

parts = PartStore(Bucket.local(Path(sys.argv[1])), None, SystemClock())
asyncio.run(parts.put("acme", sys.argv[2], Span(start=0, end=3_000_000), stalled()))
"""


@pytest.fixture
async def bucket(tmp_path: Path) -> Bucket:
    return Bucket.local(tmp_path / "blobs")


@pytest.fixture
async def parts(bucket: Bucket) -> PartStore:
    return PartStore(bucket, None, SystemClock())


def whole(tmp_path: Path) -> Path:
    return next(tmp_path.glob("blobs/tenants/*/parts/*/whole"))


def blob(tmp_path: Path) -> Path:
    return next(tmp_path.glob("blobs/tenants/acme/blobs/sha256/*/*"))


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("blobs/tenants/*/parts/*/*"))


async def put(parts: PartStore, *spans: Span, data: bytes = DATA) -> None:
    for span in spans:
        await parts.put("acme", DIGEST, span, chunks_of(data[span.start : span.end], 70_001))


async def test_joining_renames_what_was_written(bucket: Bucket, parts: PartStore, tmp_path: Path) -> None:
    """The blob is the very file into which the parts were written, in any order, and no part is left."""
    await asyncio.gather(*(put(parts, span) for span in reversed(SPANS)))
    written = whole(tmp_path).stat().st_ino
    assert await parts.join("acme", DIGEST, SPANS, size=len(DATA))
    assert blob(tmp_path).stat().st_ino == written
    assert await ObjectBlobStore(bucket).read("acme", DIGEST, limit=len(DATA)) == DATA
    assert await parts.arrived("acme", DIGEST) == ()
    assert names(tmp_path) == []


async def test_other_bytes_never_become_the_blob(bucket: Bucket, parts: PartStore) -> None:
    """SIGN_004; the blob stays absent, the parts stay until they are dropped."""
    await put(parts, *SPANS[:2])
    await put(parts, SPANS[2], data=DATA[:-1] + b"?")
    with refused(ErrorCode.DIGEST_MISMATCH, DIGEST):
        await parts.join("acme", DIGEST, SPANS, size=len(DATA))
    assert await ObjectBlobStore(bucket).size("acme", DIGEST) is None
    assert list(await parts.arrived("acme", DIGEST)) == SPANS


async def test_bytes_that_are_there_are_not_overwritten(parts: PartStore, tmp_path: Path) -> None:
    """A part that comes again, or lies across others, is kept by itself; of the same place the later one counts."""
    across = Span(start=500_000, end=1_500_000)
    await put(parts, *SPANS)
    await put(parts, across, data=bytes(len(DATA)))
    assert await gathered(parts.stream("acme", DIGEST, SPANS)) == DATA
    await put(parts, SPANS[0], data=bytes(len(DATA)))
    assert (await gathered(parts.stream("acme", DIGEST, SPANS)))[:2] == b"\0\0"
    assert names(tmp_path)[:3] == ["0-1000000", "0-1000000.placed", "1000000-2000000.placed"]
    assert not await parts.join("acme", DIGEST, SPANS, size=len(DATA))


async def test_two_senders_of_one_part(parts: PartStore) -> None:
    """While one writes a part, another one's bytes of it are kept elsewhere; nothing is mixed."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield DATA[:400_000]
        begun.set()
        await go_on.wait()
        yield DATA[400_000:1_000_000]

    first = asyncio.create_task(parts.put("acme", DIGEST, SPANS[0], slow()))
    await begun.wait()
    await put(parts, SPANS[0], data=bytes(len(DATA)))
    go_on.set()
    await first
    await parts.discard("acme", DIGEST)
    await put(parts, *SPANS)
    assert await gathered(parts.stream("acme", DIGEST, SPANS)) == DATA


async def test_nobody_joins_while_somebody_writes(parts: PartStore) -> None:
    """A writer anywhere in the file keeps it from being renamed; its end does not."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await go_on.wait()
        yield DATA[2_000_000:]

    await put(parts, *SPANS[:2])
    writing = asyncio.create_task(parts.put("acme", DIGEST, SPANS[2], slow()))
    await begun.wait()
    assert not await parts.join("acme", DIGEST, SPANS[:2], size=2_000_000)
    go_on.set()
    await writing
    assert await parts.join("acme", DIGEST, SPANS, size=len(DATA))


@pytest.mark.parametrize("error", [ValueError("gone"), ConnectionResetError("gone")], ids=["value", "os"])
async def test_a_part_that_breaks_off_does_not_count(parts: PartStore, error: Exception) -> None:
    """The source's own error comes through; the place is free for the next one."""
    with pytest.raises(type(error), match="gone"):
        await parts.put("acme", DIGEST, SPANS[1], broken(DATA[:10], error))
    assert await parts.arrived("acme", DIGEST) == ()
    await put(parts, *SPANS)
    assert await parts.join("acme", DIGEST, SPANS, size=len(DATA))


async def test_marks_without_their_file_do_not_count(parts: PartStore, tmp_path: Path) -> None:
    """What a process left that was killed between renaming and tidying up vouches for no other file."""
    await put(parts, *SPANS)
    whole(tmp_path).unlink()
    assert await parts.arrived("acme", DIGEST) == ()
    await put(parts, SPANS[0])
    assert list(await parts.arrived("acme", DIGEST)) == SPANS[:1]


async def test_a_part_whose_parts_were_dropped_meanwhile_does_not_count(parts: PartStore) -> None:
    """It was written into a file that has no name any more."""

    async def dropping() -> AsyncIterator[bytes]:
        yield DATA[:500_000]
        await parts.discard("acme", DIGEST)
        yield DATA[500_000:1_000_000]

    await parts.put("acme", DIGEST, SPANS[0], dropping())
    assert await parts.arrived("acme", DIGEST) == ()


async def test_a_cut_file_is_damage(parts: PartStore, tmp_path: Path) -> None:
    """STORE_003 where a disk lost the end: the parts are dropped then, not asked for again for ever."""
    await put(parts, *SPANS)
    os.truncate(whole(tmp_path), 2_500_000)
    assert not await parts.join("acme", DIGEST, SPANS, size=len(DATA))
    with refused(ErrorCode.BLOB_CORRUPT, DIGEST):
        await gathered(parts.stream("acme", DIGEST, SPANS))


async def test_old_parts_in_place_are_swept_together(parts: PartStore, tmp_path: Path) -> None:
    """All of a file's parts go when the last one is old, and none before."""
    await put(parts, *SPANS[:2])
    assert await parts.sweep(timedelta(hours=1)) == 0
    assert await parts.sweep(timedelta(seconds=-60)) == 2
    assert names(tmp_path) == []


async def test_a_killed_writer_frees_its_place(parts: PartStore, tmp_path: Path) -> None:
    """Another process that writes keeps others away from its bytes; kill -9 ends that, and its bytes do not count."""
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "blobs"), DIGEST]
    writer = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"stalled\n"
    await put(parts, SPANS[0])
    assert "0-1000000" in names(tmp_path)
    await parts.discard("acme", DIGEST)
    writer.kill()
    await writer.wait()
    await put(parts, *SPANS)
    assert await parts.join("acme", DIGEST, SPANS, size=len(DATA))
