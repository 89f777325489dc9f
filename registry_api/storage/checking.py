# SPDX-License-Identifier: Apache-2.0
"""Checks that the store holds what the database needs: which blobs are missing, damaged, or needed by nobody.

It changes nothing. A blob that is needed and found missing is looked for once more against what is needed then, so a check
beside running registries reports no version that was just removed. Uploads that are still being sent are not missing
anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from artifacts.digest import Digest
from artifacts.stores.interface import ManagedStore
from core.errors import NotFound, StoreError
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.storage.repository import StorageRepository, tenant_names


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantReport:
    """What was found of one tenant."""

    tenant: str
    needed: int  # blobs that rows name
    missing: tuple[Digest, ...]
    damaged: tuple[Digest, ...]
    unreferenced: int  # blobs that no row names; the collection removes them when they are old enough
    unreferenced_bytes: int

    @property
    def sound(self) -> bool:
        """Whether everything that is needed is there."""
        return not self.missing and not self.damaged


class StoreCheck:
    """Compares database and store.

    Args:
        db: What is needed.
        store: What is there.
        deep: Whether every needed blob is read and its bytes checked, not only its presence and size.
    """

    def __init__(self, db: Database, store: ManagedStore, *, deep: bool) -> None:
        self._db = db
        self._store = store
        self._deep = deep

    async def reports(self) -> AsyncIterator[TenantReport]:
        """One report for every tenant of the database or the store.

        Raises:
            Unavailable: ``STORE_001`` if store or database cannot be reached.
        """
        async with self._db.read(EVERY_TENANT) as session:
            known = await tenant_names(session)
        for tenant in sorted({*known, *await self._store.tenants()}):
            yield await self._report(tenant)

    async def _report(self, tenant: str) -> TenantReport:
        needed, sizes = await self._needed(tenant)
        states = {digest: await self._state(tenant, digest, sizes.get(digest)) for digest in sorted(needed)}
        missing = {digest for digest, sound in states.items() if sound is None}
        if missing:
            missing &= (await self._needed(tenant))[0]
        count, size = await self._unreferenced(tenant, needed)
        return TenantReport(
            tenant=tenant,
            needed=len(needed),
            missing=tuple(sorted(missing)),
            damaged=tuple(digest for digest, sound in states.items() if sound is False),
            unreferenced=count,
            unreferenced_bytes=size,
        )

    async def _needed(self, tenant: str) -> tuple[frozenset[Digest], dict[Digest, int]]:
        async with self._db.read(tenant) as session:
            rows = StorageRepository(session, tenant)
            return await rows.required(), await rows.sizes()

    async def _state(self, tenant: str, digest: Digest, size: int | None) -> bool | None:
        """Whether a blob is sound; None if there is none."""
        try:
            found = await self._store.size(tenant, digest)
            if found is None:
                return None
            if size is not None and found != size:
                return False
            if self._deep:
                async for _ in self._store.stream(tenant, digest):
                    pass
        except NotFound:
            return None
        except StoreError:
            return False
        return True

    async def _unreferenced(self, tenant: str, needed: frozenset[Digest]) -> tuple[int, int]:
        others = {blob.digest: blob.size async for blob in self._store.blobs(tenant) if blob.digest not in needed}
        if others:
            async with self._db.read(tenant) as session:
                for digest in await StorageRepository(session, tenant).referenced(list(others)):
                    del others[digest]
        return len(others), sum(others.values())
