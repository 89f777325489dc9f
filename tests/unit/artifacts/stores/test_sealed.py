# SPDX-License-Identifier: Apache-2.0
"""Encrypted blobs in a folder: nothing plain on the disk, damage, exchange, rotation, remains, mixed stores, parts."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.encryption.keys import FileKeys
from artifacts.encryption.sealing import Sealing
from artifacts.stores.bucket import Bucket
from artifacts.stores.mixed import MixedBlobStore
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.parts import PartStore
from artifacts.stores.sealed import SealedBlobStore
from artifacts.stores.spans import Span
from artifacts.stores.testing import broken, chunks_of, gathered, refused
from core.clock import SystemClock
from core.errors import ErrorCode, NotFound

DATA = b"the weights of a secret model" * 40_000
DIGEST = digest_bytes(DATA)
OTHER = DATA[::-1]
LATER = timedelta(hours=-1)  # everything is older than this


@pytest.fixture
def keys(tmp_path: Path) -> FileKeys:
    return FileKeys(tmp_path / "keys")


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket.local(tmp_path / "blobs")


@pytest.fixture
def store(bucket: Bucket, keys: FileKeys) -> SealedBlobStore:
    return SealedBlobStore(bucket, Sealing(keys, chunk_bytes=64 * 1024))


def files(root: Path) -> dict[str, Path]:
    """Head and data of the only blob."""
    found = [path for path in (root / "blobs").rglob("*") if path.is_file()]
    return {"head" if path.name == "head" else "data": path for path in found}


async def put(store: SealedBlobStore | MixedBlobStore | ObjectBlobStore, data: bytes, tenant: str = "acme") -> str:
    digest = digest_bytes(data)
    await store.put(tenant, chunks_of(data, 50_000), digest=digest, size=len(data))
    return digest


async def test_nothing_plain_is_on_the_disk(store: SealedBlobStore, tmp_path: Path) -> None:
    """No file below the store or the keys holds a piece of what was put, and there are just head and data."""
    await put(store, DATA)
    assert set(files(tmp_path)) == {"head", "data"}
    assert not holds(tmp_path, DATA[:16])


def holds(folder: Path, text: bytes) -> bool:
    """Whether any file below holds that."""
    return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("start", [1, 65_535, 65_536, 65_537, len(DATA) - 1])
async def test_a_ranged_read_fetches_only_the_chunks_it_needs(
    store: SealedBlobStore, tmp_path: Path, start: int
) -> None:
    """Damage before the chunk of the first byte asked for is not even seen."""
    await put(store, DATA)
    if start >= 65_536:
        flip(files(tmp_path)["data"], 100)
    assert await gathered(store.stream("acme", DIGEST, start=start)) == DATA[start:]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(("which", "at"), [("data", 0), ("data", -1), ("data", 400_000), ("head", 50), ("head", -1)])
async def test_one_flipped_bit_is_found(store: SealedBlobStore, tmp_path: Path, which: str, at: int) -> None:
    """STORE_003 that names the blob, and nothing of the damaged chunk is given out."""
    await put(store, DATA)
    flip(files(tmp_path)[which], at)
    received = b""
    with refused(ErrorCode.BLOB_CORRUPT, DIGEST):
        async for piece in store.stream("acme", DIGEST):
            received += piece
    assert DATA.startswith(received)
    assert len(received) < len(DATA)


async def test_objects_cannot_be_exchanged(store: SealedBlobStore, tmp_path: Path) -> None:
    """A blob's files copied to another tenant, or over those of another blob, open nowhere."""
    await put(store, DATA)
    source = files(tmp_path)["head"].parent
    target = Path(str(source).replace("/acme/", "/globex/"))
    shutil.copytree(source, target)
    with refused(ErrorCode.BLOB_CORRUPT, DIGEST):
        await store.read("globex", DIGEST, limit=len(DATA))
    other = await put(store, OTHER)
    folder = next(path.parent for path in (tmp_path / "blobs").rglob("head") if other[7:] in str(path))
    shutil.rmtree(folder)
    shutil.copytree(source, folder)
    with refused(ErrorCode.BLOB_CORRUPT, other):
        await store.read("acme", other, limit=len(DATA))


async def test_a_blob_whose_data_is_gone_or_cut_is_written_again(store: SealedBlobStore, tmp_path: Path) -> None:
    """It counts as absent, and the next put heals it."""
    for harm in (Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])):
        await put(store, DATA)
        harm(files(tmp_path)["data"])
        assert await store.size("acme", DIGEST) is None
        await put(store, DATA)
        assert await store.read("acme", DIGEST, limit=len(DATA)) == DATA
        await store.delete("acme", DIGEST)
    assert files(tmp_path) == {}


async def test_rotation_rewraps_heads_and_leaves_data_alone(
    store: SealedBlobStore, keys: FileKeys, tmp_path: Path
) -> None:
    """After rewrapping, the old key is not needed any more; the data's bytes are the same as before."""
    await put(store, DATA)
    old, data = await keys.key_id("acme"), files(tmp_path)["data"].read_bytes()
    await keys.rotate("acme")
    assert await store.rewrap("acme", DIGEST)
    assert not await store.rewrap("acme", DIGEST)
    (tmp_path / "keys/acme" / f"{old}.key").unlink()
    fresh = SealedBlobStore(Bucket.local(tmp_path / "blobs"), Sealing(FileKeys(tmp_path / "keys")))
    assert await fresh.read("acme", DIGEST, limit=len(DATA)) == DATA
    assert files(tmp_path)["data"].read_bytes() == data


async def test_rewrapping_beside_deletes_and_puts_loses_nothing(store: SealedBlobStore, keys: FileKeys) -> None:
    """While a blob is deleted and put again and again, rewraps never leave a head that does not fit its data."""

    async def churn() -> None:
        for _ in range(10):
            await put(store, DATA)
            await store.delete("acme", DIGEST)
        await put(store, DATA)

    async def rewrap() -> None:
        for _ in range(10):
            await keys.rotate("acme")
            with suppress(NotFound):
                await store.rewrap("acme", DIGEST)
            await asyncio.sleep(0)

    await asyncio.gather(churn(), rewrap())
    assert await store.read("acme", DIGEST, limit=len(DATA)) == DATA


async def test_data_that_no_head_names_is_dropped(store: SealedBlobStore, bucket: Bucket, tmp_path: Path) -> None:
    """What a killed put left goes once it is old; the data of a blob stays."""
    await put(store, DATA)
    left = files(tmp_path)["data"].parent / ("0" * 32)
    left.write_bytes(b"x")
    assert await store.drop_unnamed(timedelta(hours=1)) == 0
    assert await store.drop_unnamed(LATER) == 1
    assert not left.exists()
    assert await store.read("acme", DIGEST, limit=len(DATA)) == DATA
    assert await store.drop_unnamed(LATER) == 0


async def test_old_plain_blobs_stay_readable_and_can_be_moved(bucket: Bucket, store: SealedBlobStore) -> None:
    """With encryption on, a plain blob is read, counted once, not put again, and moved on demand; and back."""
    plain = ObjectBlobStore(bucket)
    await put(plain, DATA)
    mixed = MixedBlobStore(store, plain)
    await mixed.put("acme", broken(b"", ValueError("read")), digest=DIGEST, size=len(DATA))
    assert await mixed.read("acme", DIGEST, limit=len(DATA)) == DATA
    assert await mixed.move("acme", DIGEST)
    assert not await mixed.move("acme", DIGEST)
    assert (await plain.size("acme", DIGEST), await store.size("acme", DIGEST)) == (None, len(DATA))
    assert await mixed.read("acme", DIGEST, limit=len(DATA)) == DATA
    back = MixedBlobStore(plain, store)
    assert await back.move("acme", DIGEST)
    assert await back.read("acme", DIGEST, limit=len(DATA)) == DATA
    assert [blob.digest async for blob in back.blobs("acme")] == [DIGEST]


@pytest.mark.parametrize("encrypted", [False, True])
async def test_parts_make_the_whole(bucket: Bucket, keys: FileKeys, tmp_path: Path, encrypted: bool) -> None:
    """Parts are kept by tenant and digest, listed, joined in order, and dropped; short ones are refused."""
    parts = PartStore(bucket, Sealing(keys) if encrypted else None, SystemClock())
    spans = [Span(start=start, end=min(start + 300_000, len(DATA))) for start in range(0, len(DATA), 300_000)]
    for span in reversed(spans):
        await parts.put("acme", DIGEST, span, chunks_of(DATA[span.start : span.end]))
    assert list(await parts.arrived("acme", DIGEST)) == spans
    assert await parts.arrived("globex", DIGEST) == ()
    assert await gathered(parts.stream("acme", DIGEST, spans)) == DATA
    with refused(ErrorCode.LENGTH_MISMATCH):
        await parts.put("acme", DIGEST, Span(start=0, end=10), chunks_of(b"short"))
    assert holds(tmp_path / "blobs", DATA[:16]) is not encrypted
    await parts.discard("acme", DIGEST)
    assert await parts.arrived("acme", DIGEST) == ()


async def test_exchanged_encrypted_parts_are_refused(bucket: Bucket, keys: FileKeys, tmp_path: Path) -> None:
    """A part under another part's name does not open."""
    parts = PartStore(bucket, Sealing(keys), SystemClock())
    first, second = Span(start=0, end=10), Span(start=10, end=20)
    await parts.put("acme", DIGEST, first, chunks_of(DATA[:10]))
    path = next(path for path in (tmp_path / "blobs").rglob("*.sealed"))
    shutil.copy(path, path.with_name("10-20.sealed"))
    with refused(ErrorCode.BLOB_CORRUPT):
        await gathered(parts.stream("acme", DIGEST, [first, second]))


async def test_a_part_that_says_it_has_an_endless_head_is_not_read(
    bucket: Bucket, keys: FileKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write to the bucket cannot make the registry hold an object of any size in memory."""
    parts, span = PartStore(bucket, Sealing(keys), SystemClock()), Span(start=0, end=10)
    await parts.put("acme", DIGEST, span, chunks_of(DATA[:10]))
    given = 0

    async def stream(_key: str, **_options: object) -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(512):
            given += 1 << 16
            yield b"\xff" * (1 << 16)

    monkeypatch.setattr(bucket, "stream", stream)
    with refused(ErrorCode.BLOB_CORRUPT):
        await gathered(parts.stream("acme", DIGEST, [span]))
    assert given == 1 << 16


async def test_old_parts_are_swept(bucket: Bucket) -> None:
    """Parts that nobody joined go once they are old."""
    parts = PartStore(bucket, None, SystemClock())
    await parts.put("acme", DIGEST, Span(start=0, end=1), chunks_of(b"x"))
    assert await parts.sweep(timedelta(hours=1)) == 0
    assert await parts.sweep(LATER) == 1


async def _never() -> AsyncIterator[bytes]:
    raise AssertionError("read")
    yield b""


async def test_a_second_put_reads_nothing_although_the_key_was_rotated(store: SealedBlobStore, keys: FileKeys) -> None:
    """What is there stays as it is."""
    await put(store, DATA)
    await keys.rotate("acme")
    await store.put("acme", _never(), digest=DIGEST, size=len(DATA))
