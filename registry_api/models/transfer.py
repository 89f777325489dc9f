# SPDX-License-Identifier: Apache-2.0
"""Files to and from the blob store, in constant memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

from artifacts.digest import Digest, StreamingDigest
from artifacts.stores.interface import BlobStore
from core.errors import ErrorCode, StoreError

CHUNK_BYTES: Final = 1 << 20


async def upload(store: BlobStore, tenant: str, path: Path) -> Digest:
    """Stores a file that nobody writes to any more.

    Raises:
        Unavailable: ``STORE_001`` or ``STORE_004``.
    """
    digest = await asyncio.to_thread(_digest, path)
    await upload_as(store, tenant, path, digest=digest.value, size=digest.size)
    return digest.value


async def upload_as(store: BlobStore, tenant: str, path: Path, *, digest: Digest, size: int) -> None:
    """Stores a file that must have a digest and a size.

    Raises:
        InvalidRequest: ``VALID_008`` if it has another size.
        SignatureError: ``SIGN_004`` if it has another digest.
        Unavailable: ``STORE_001`` or ``STORE_004``.
    """
    await store.put(tenant, _chunks(path), digest=digest, size=size)


async def upload_bytes(store: BlobStore, tenant: str, data: bytes) -> Digest:
    """Stores a few bytes.

    Raises:
        Unavailable: ``STORE_001`` or ``STORE_004``.
    """
    digest = StreamingDigest()
    digest.update(data)

    async def once() -> AsyncIterator[bytes]:
        yield data

    await store.put(tenant, once(), digest=digest.value, size=digest.size)
    return digest.value


async def download(store: BlobStore, tenant: str, digest: Digest, path: Path, *, limit: int) -> None:
    """Writes a blob into the new file ``path``.

    Args:
        store: Where it is.
        tenant: Whose it is.
        digest: Which it is; what arrives must have it.
        path: Must not exist; the folders above it are made.
        limit: The most bytes written.

    Raises:
        NotFound: ``STORE_002`` if there is no such blob.
        StoreError: ``STORE_003`` if the stored bytes are damaged.
        Unavailable: ``STORE_001`` if the store cannot be reached.
    """
    arrived = StreamingDigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        async for chunk in store.stream(tenant, digest):
            arrived.update(chunk)
            if arrived.size > limit:
                break
            await asyncio.to_thread(file.write, chunk)
    if arrived.size > limit or arrived.value != digest:
        raise StoreError(
            ErrorCode.BLOB_CORRUPT,
            f"The stored blob {digest} is damaged. Tell the operator.",
            details={"digest": digest},
        )


async def check_stored(store: BlobStore, tenant: str, digests: Iterable[Digest], *, maker: str) -> None:
    """Asks the store for what ``maker`` put there; from the tenant's lock on nobody removes it.

    Raises:
        StoreError: ``STORE_003`` if some of it was removed meanwhile.
    """
    for digest in digests:
        if await store.size(tenant, digest) is None:
            raise StoreError(
                ErrorCode.BLOB_CORRUPT, f"Blob {digest} was removed before the {maker} ended. Start it again."
            )


def _digest(path: Path) -> StreamingDigest:
    digest = StreamingDigest()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
