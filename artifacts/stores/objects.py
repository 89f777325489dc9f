# SPDX-License-Identifier: Apache-2.0
"""Blobs as plain objects: in a local folder, in memory, in S3.

    tenants/<tenant>/blobs/sha256/<aa>/<64 hex>    <aa>: the first two digits, so that no folder grows too long
    staging/<uuid>                                 unfinished writes of a local folder

Bytes are hashed on the way in, before the last step makes them visible, and on the way out. A blob of the wrong length (a
disk that lost its tail) is written again by the next put; any other damage is reported by ``read`` and ``stream``. Two puts
of the same blob at once write the same bytes, so it does not matter whose become visible last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Self

from artifacts.digest import PREFIX, Digest, StreamingDigest, hex_of, parse_digest
from artifacts.stores.arrival import CheckedChunks
from artifacts.stores.bucket import Bucket
from artifacts.stores.failures import corrupt, not_found, translated
from artifacts.stores.interface import StoredBlob
from artifacts.stores.reading import check_limit, check_start, gather
from artifacts.stores.threads import finished
from core.clock import Clock, SystemClock
from core.refs import parse_name


class ObjectBlobStore:
    """A :class:`~artifacts.stores.interface.ManagedStore` of plain objects."""

    def __init__(self, bucket: Bucket, *, clock: Clock | None = None) -> None:
        self._bucket = bucket
        self._clock = clock or SystemClock()

    @classmethod
    def local(cls, path: Path, *, clock: Clock | None = None) -> Self:
        """A store in a folder, made with mode 0700 if it is not there."""
        return cls(Bucket.local(path), clock=clock)

    @classmethod
    def memory(cls) -> Self:
        """A store that ends with the process."""
        return cls(Bucket.memory())

    async def put(self, tenant: str, chunks: AsyncIterator[bytes], *, digest: Digest, size: int) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.put`."""
        if await self.size(tenant, digest) == size:
            return
        arriving = CheckedChunks(chunks, digest=digest, size=size)
        with arriving.own_failure():
            await self._bucket.publish(blob_key(tenant, digest), arriving, name=digest)

    async def read(self, tenant: str, digest: Digest, *, limit: int) -> bytes:
        """See :meth:`artifacts.stores.interface.BlobStore.read`."""
        check_limit(await self.size(tenant, digest), limit, digest)
        return await gather(self.stream(tenant, digest))

    async def stream(self, tenant: str, digest: Digest, *, start: int = 0) -> AsyncIterator[bytes]:
        """See :meth:`artifacts.stores.interface.BlobStore.stream`."""
        key = blob_key(tenant, digest)
        if start == 0:
            pieces = _verified(self._bucket.stream(key, name=digest), digest)
        else:
            size = await self.size(tenant, digest)
            if size is None:
                raise not_found(digest)
            check_start(start, size, digest)
            if start == size:
                return
            pieces = self._bucket.stream(key, start=start, name=digest)
        async for piece in pieces:
            yield piece

    async def size(self, tenant: str, digest: Digest) -> int | None:
        """See :meth:`artifacts.stores.interface.BlobStore.size`."""
        return await self._bucket.size(blob_key(tenant, digest), name=digest)

    async def lend(self, tenant: str, digest: Digest, path: Path) -> bool:
        """See :meth:`artifacts.stores.interface.BlobStore.lend`."""
        if self._bucket.files is None:
            return False
        with translated(digest):
            found = await finished(self._bucket.files.lend, blob_key(tenant, digest), digest, path)
        if found not in (digest, None):
            raise corrupt(digest, f"its bytes hash to {found}", got=str(found))
        return found is not None

    async def delete(self, tenant: str, digest: Digest) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.delete`."""
        await self._bucket.delete(blob_key(tenant, digest), name=digest)

    async def blobs(self, tenant: str) -> AsyncIterator[StoredBlob]:
        """See :meth:`artifacts.stores.interface.ManagedStore.blobs`."""
        async for found in self._bucket.listing(f"tenants/{parse_name(tenant, what='tenant')}/blobs/sha256"):
            yield StoredBlob(
                digest=PREFIX + found.key.rsplit("/", 1)[-1], size=found.size, modified_at=found.modified_at
            )

    async def tenants(self) -> list[str]:
        """See :meth:`artifacts.stores.interface.ManagedStore.tenants`."""
        return await self._bucket.folders("tenants")

    async def sweep_staging(self, older_than: timedelta) -> int:
        """See :meth:`artifacts.stores.interface.ManagedStore.sweep_staging`."""
        return await self._bucket.sweep(self._clock.now() - older_than)


def blob_key(tenant: str, digest: Digest) -> str:
    """The key of a blob."""
    digits = hex_of(parse_digest(digest))
    return f"tenants/{parse_name(tenant, what='tenant')}/blobs/sha256/{digits[:2]}/{digits}"


async def _verified(pieces: AsyncIterator[bytes], digest: Digest) -> AsyncIterator[bytes]:
    """Passes pieces on one behind, so that the last one leaves only if all of them hash to ``digest``."""
    seen = StreamingDigest()
    held = b""
    async for piece in pieces:
        seen.update(piece)
        if held:
            yield held
        held = piece
    if seen.value != digest:
        raise corrupt(digest, f"its {seen.size} bytes hash to {seen.value}", got=seen.value)
    if held:
        yield held
