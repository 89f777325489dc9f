# SPDX-License-Identifier: Apache-2.0
"""The suite every blob store must pass, and what its tests read with. Import it from :mod:`artifacts.testing`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from artifacts.digest import digest_bytes
from artifacts.stores.interface import BlobStore
from core.errors import ErrorCode, FuroshikiError

DATA = bytes(range(256)) * 100
DIGEST = digest_bytes(DATA)


@contextmanager
def refused(code: ErrorCode, *named: str) -> Iterator[None]:
    """Expects an error of this code whose message holds each of ``named``."""
    with pytest.raises(FuroshikiError) as caught:
        yield
    assert caught.value.code is code, f"{caught.value}"
    for text in named:
        assert text in caught.value.message, f"{caught.value}"


async def chunks_of(data: bytes, step: int = 1000) -> AsyncIterator[bytes]:
    """``data`` in pieces of ``step`` bytes."""
    for start in range(0, len(data), step):
        yield data[start : start + step]


async def broken(data: bytes, error: Exception) -> AsyncIterator[bytes]:
    """``data``, then ``error``."""
    yield data
    raise error


async def gathered(pieces: AsyncIterator[bytes]) -> bytes:
    """All pieces joined."""
    return b"".join([piece async for piece in pieces])


class BlobStoreContract:
    """What every :class:`~artifacts.stores.interface.BlobStore` keeps. Needs a fixture ``store``."""

    @pytest.mark.parametrize("data", [b"", b"x", DATA, b"z" * 12_000_000], ids=["empty", "byte", "small", "parts"])
    async def test_what_was_put_is_read(self, store: BlobStore, data: bytes) -> None:
        """Read, stream and size give back exactly what was put, from nothing to several parts."""
        digest = digest_bytes(data)
        await store.put("acme", chunks_of(data, 1_000_003), digest=digest, size=len(data))
        assert await store.read("acme", digest, limit=len(data)) == data
        assert await gathered(store.stream("acme", digest)) == data
        assert await store.size("acme", digest) == len(data)

    @pytest.mark.parametrize("start", [0, 1, len(DATA) - 1, len(DATA)])
    async def test_stream_from_a_byte(self, store: BlobStore, start: int) -> None:
        """A stream may start at any byte up to the end."""
        await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
        assert await gathered(store.stream("acme", DIGEST, start=start)) == DATA[start:]

    @pytest.mark.parametrize("start", [-1, len(DATA) + 1])
    async def test_stream_outside_is_refused(self, store: BlobStore, start: int) -> None:
        """A stream cannot start outside the blob."""
        await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
        with refused(ErrorCode.INVALID_FIELD, str(start)):
            await gathered(store.stream("acme", DIGEST, start=start))

    async def test_tenants_are_apart(self, store: BlobStore) -> None:
        """What one tenant stores or deletes is invisible to another, even the same bytes."""
        await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
        assert await store.size("globex", DIGEST) is None
        await store.put("globex", chunks_of(DATA), digest=DIGEST, size=len(DATA))
        await store.delete("acme", DIGEST)
        assert await store.size("acme", DIGEST) is None
        assert await store.read("globex", DIGEST, limit=len(DATA)) == DATA

    @pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1, 0])
    async def test_wrong_size_leaves_nothing(self, store: BlobStore, size: int) -> None:
        """Fewer or more bytes than declared are refused and nothing is visible."""
        with refused(ErrorCode.LENGTH_MISMATCH, str(size)):
            await store.put("acme", chunks_of(DATA), digest=DIGEST, size=size)
        assert await store.size("acme", DIGEST) is None

    async def test_wrong_digest_leaves_nothing(self, store: BlobStore) -> None:
        """Other bytes than declared are refused and nothing is visible."""
        with refused(ErrorCode.DIGEST_MISMATCH, DIGEST):
            await store.put("acme", chunks_of(DATA[::-1]), digest=DIGEST, size=len(DATA))
        assert await store.size("acme", DIGEST) is None

    @pytest.mark.parametrize("error", [ValueError("gone"), ConnectionResetError("gone")], ids=["value", "os"])
    async def test_cut_source_leaves_nothing(self, store: BlobStore, error: Exception) -> None:
        """When the source breaks off, its own error comes through and nothing is visible."""
        with pytest.raises(type(error), match="gone"):
            await store.put("acme", broken(DATA[:-1], error), digest=DIGEST, size=len(DATA))
        assert await store.size("acme", DIGEST) is None

    async def test_cancelled_put_leaves_nothing(self, store: BlobStore) -> None:
        """A put that is cancelled while bytes arrive leaves nothing visible."""
        begun, never = asyncio.Event(), asyncio.Event()

        async def stalled() -> AsyncIterator[bytes]:
            yield DATA[:10]
            begun.set()
            await never.wait()

        put = asyncio.create_task(store.put("acme", stalled(), digest=DIGEST, size=len(DATA)))
        await begun.wait()
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert await store.size("acme", DIGEST) is None

    async def test_second_put_reads_nothing(self, store: BlobStore) -> None:
        """Putting a blob that is there does nothing, not even read the source."""
        await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
        await store.put("acme", broken(b"", ValueError("read")), digest=DIGEST, size=len(DATA))
        assert await store.read("acme", DIGEST, limit=len(DATA)) == DATA

    async def test_racing_puts_agree(self, store: BlobStore) -> None:
        """Sixteen puts of one blob at once all succeed and leave one whole blob."""
        puts = (store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA)) for _ in range(16))
        await asyncio.gather(*puts)
        assert await store.read("acme", DIGEST, limit=len(DATA)) == DATA

    async def test_absent_blob(self, store: BlobStore) -> None:
        """An absent blob has no size, cannot be read, and deleting it is no error."""
        assert await store.size("acme", DIGEST) is None
        with refused(ErrorCode.BLOB_NOT_FOUND, DIGEST):
            await store.read("acme", DIGEST, limit=1)
        with refused(ErrorCode.BLOB_NOT_FOUND, DIGEST):
            await gathered(store.stream("acme", DIGEST))
        await store.delete("acme", DIGEST)

    async def test_read_has_a_limit(self, store: BlobStore) -> None:
        """A blob larger than the reader's limit is refused, not read."""
        await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
        with refused(ErrorCode.TOO_LARGE, str(len(DATA) - 1)):
            await store.read("acme", DIGEST, limit=len(DATA) - 1)

    @pytest.mark.parametrize(
        ("tenant", "digest"), [("..", DIGEST), ("a/b", DIGEST), ("acme", "sha256:../x"), ("acme", "x")]
    )
    async def test_names_are_checked(self, store: BlobStore, tenant: str, digest: str) -> None:
        """Neither tenant nor digest can leave the store."""
        with refused(ErrorCode.INVALID_FIELD):
            await store.put(tenant, chunks_of(DATA), digest=digest, size=len(DATA))
