# SPDX-License-Identifier: Apache-2.0
"""Collects garbage: removes blobs that nobody refers to.

It looks at blobs older than the longest upload only, asks for many at a time who refers to them, and then removes each under
the tenant's lock if still nobody does (:mod:`registry_api.storage.blobs` has the argument why that loses nothing, whoever
pushes meanwhile). Besides, it removes encrypted data that no blob names. Killed anywhere, the next collection goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from artifacts.digest import Digest
from artifacts.stores.interface import ManagedStore
from artifacts.stores.sealed import SealedBlobStore
from core.clock import Clock
from registry_api.db.session import Database
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.storage.repository import StorageRepository

_BATCH: Final = 200  # digests asked for at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection did."""

    looked_at: int  # blobs that were old enough
    removed: int  # blobs
    remains: int  # data of unfinished writes


class Collector:
    """Removes what nobody refers to.

    Args:
        db: Where references are.
        store: Where blobs are.
        sealed: Its encrypted half.
        blobs: Removes one blob safely.
        clock: For their age.
        older_than: Blobs that came later are left alone.
    """

    def __init__(
        self,
        *,
        db: Database,
        store: ManagedStore,
        sealed: SealedBlobStore,
        blobs: TenantBlobs,
        clock: Clock,
        older_than: timedelta,
    ) -> None:
        self._db = db
        self._store = store
        self._sealed = sealed
        self._blobs = blobs
        self._clock = clock
        self._older_than = older_than

    async def collect(self) -> Collected:
        """Goes through every tenant once.

        Raises:
            Unavailable: ``STORE_001`` if store or database cannot be reached; what was done stays done.
        """
        looked_at = removed = 0
        for tenant in await self._store.tenants():
            async for batch in self._old(tenant):
                looked_at += len(batch)
                async with self._db.read(tenant) as session:
                    needed = await StorageRepository(session, tenant).referenced(batch)
                removed += await self._blobs.discard(tenant, (digest for digest in batch if digest not in needed))
        remains = await self._sealed.drop_unnamed(self._older_than)
        return Collected(looked_at=looked_at, removed=removed, remains=remains)

    async def _old(self, tenant: str) -> AsyncIterator[list[Digest]]:
        before, batch = self._clock.now() - self._older_than, list[Digest]()
        async for blob in self._store.blobs(tenant):
            if blob.modified_at < before:
                batch.append(blob.digest)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
