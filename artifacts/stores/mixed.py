# SPDX-License-Identifier: Apache-2.0
"""Plain and encrypted blobs side by side: one kind is written, both are read.

Switching encryption on or off changes what new blobs are; old ones stay readable. While a blob is moved from one kind to the
other it is there twice, and then in the kind that is written; so readers look there first, and once more if both were missed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from artifacts.digest import Digest
from artifacts.stores.failures import not_found
from artifacts.stores.interface import ManagedStore, StoredBlob


class MixedBlobStore:
    """A :class:`~artifacts.stores.interface.ManagedStore` over two.

    Args:
        written: Where new blobs go.
        other: Where blobs may be that were put before the setting changed.
    """

    def __init__(self, written: ManagedStore, other: ManagedStore) -> None:
        self._written = written
        self._other = other

    async def put(self, tenant: str, chunks: AsyncIterator[bytes], *, digest: Digest, size: int) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.put`."""
        if await self._other.size(tenant, digest) != size:
            await self._written.put(tenant, chunks, digest=digest, size=size)

    async def read(self, tenant: str, digest: Digest, *, limit: int) -> bytes:
        """See :meth:`artifacts.stores.interface.BlobStore.read`."""
        return await (await self._holder(tenant, digest)).read(tenant, digest, limit=limit)

    async def stream(self, tenant: str, digest: Digest, *, start: int = 0) -> AsyncIterator[bytes]:
        """See :meth:`artifacts.stores.interface.BlobStore.stream`."""
        holder = await self._holder(tenant, digest)
        async for piece in holder.stream(tenant, digest, start=start):
            yield piece

    async def lend(self, tenant: str, digest: Digest, path: Path) -> bool:
        """See :meth:`artifacts.stores.interface.BlobStore.lend`."""
        return await (await self._holder(tenant, digest)).lend(tenant, digest, path)

    async def size(self, tenant: str, digest: Digest) -> int | None:
        """See :meth:`artifacts.stores.interface.BlobStore.size`."""
        found = await self._written.size(tenant, digest)
        return await self._other.size(tenant, digest) if found is None else found

    async def delete(self, tenant: str, digest: Digest) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.delete`."""
        await self._other.delete(tenant, digest)
        await self._written.delete(tenant, digest)

    async def blobs(self, tenant: str) -> AsyncIterator[StoredBlob]:
        """See :meth:`artifacts.stores.interface.ManagedStore.blobs`. A blob that is there in both kinds comes twice."""
        for store in (self._written, self._other):
            async for blob in store.blobs(tenant):
                yield blob

    async def tenants(self) -> list[str]:
        """See :meth:`artifacts.stores.interface.ManagedStore.tenants`."""
        return sorted({*await self._written.tenants(), *await self._other.tenants()})

    async def sweep_staging(self, older_than: timedelta) -> int:
        """See :meth:`artifacts.stores.interface.ManagedStore.sweep_staging`."""
        return await self._written.sweep_staging(older_than) + await self._other.sweep_staging(older_than)

    def others(self, tenant: str) -> AsyncIterator[StoredBlob]:
        """The blobs that are not of the kind that is written."""
        return self._other.blobs(tenant)

    async def move(self, tenant: str, digest: Digest) -> bool:
        """Moves a blob to the kind that is written; says whether there was anything to move.

        Killed anywhere, the blob is there at least once. A reader that has begun ends with what it began with.

        Raises:
            StoreError: ``STORE_003`` if its bytes are damaged; it stays where it is.
        """
        size = await self._other.size(tenant, digest)
        if size is None:
            return False
        await self._written.put(tenant, self._other.stream(tenant, digest), digest=digest, size=size)
        await self._other.delete(tenant, digest)
        return True

    async def _holder(self, tenant: str, digest: Digest) -> ManagedStore:
        for store in (self._written, self._other, self._written):
            if await store.size(tenant, digest) is not None:
                return store
        raise not_found(digest)
