# SPDX-License-Identifier: Apache-2.0
"""Bounds what a tenant keeps, and removes blobs that nobody refers to any more.

A blob is removed only if no version, variant, build, image or live upload (open or completed) of its tenant names its digest.
A live upload never loses a blob that it was told is there. The argument:

1.  To declare an upload, to complete one, to end a build or an image and to decide about a blob each happen inside one
    write transaction that holds the tenant's lock (on SQLite every write transaction excludes all others; elsewhere it is
    the tenant's row).
    The removal itself happens under the lock too, blob by blob: nobody waits longer than for one.
2.  So each removal is wholly before or wholly after any declaration. Before: the declarer asks the store after its commit,
    sees that the blob is absent and asks for it. After: the decision sees the open upload's row and keeps the blob.
3.  An upload leaves the state *open* only by being completed, or by being given up, which is for good. Registration asks the
    store while its upload is open and then moves it from *open* to *completed* under the lock. If that succeeds, the upload
    was open all the time in between, so by 2 nothing it names was removed; from the commit on, the version's rows name it.
4.  Manifests, signatures, archives and blobs of images are named by no row before the transaction that registers them; that
    transaction asks the store for them, and stores what is gone again.
5.  Bytes that arrive for an upload that was given up meanwhile are removed by the one who received them: it looks at the
    upload after the blob became visible. If it sees a live upload, whoever gives that up later comes after the blob.

A process killed in the instant between the two steps of 5 leaves, at worst, a blob that takes room and that nobody names;
so does one killed between storing a manifest and the transaction of 4. The collection
(:mod:`registry_api.storage.collection`) finds those.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from artifacts.digest import Digest
from artifacts.stores.interface import BlobStore
from artifacts.stores.parts import PartStore
from core.errors import ErrorCode, Overloaded
from registry_api.db.session import Database, Session
from registry_api.storage.repository import StorageRepository
from registry_api.tenancy.repository import lock_tenant

_RETRY_SECONDS: Final = 60.0


class StoredBlobs:
    """The :class:`registry_api.models.uploads.interface.TenantBlobs` of the registry.

    Args:
        db: Where references are.
        store: Where blobs are.
        parts: Where their parts are while they are sent.
        tenant_bytes: The most bytes of one tenant; 0 is no limit.
    """

    def __init__(self, db: Database, store: BlobStore, parts: PartStore, *, tenant_bytes: int) -> None:
        self._db = db
        self._store = store
        self._parts = parts
        self._tenant_bytes = tenant_bytes

    async def admit(self, session: Session, tenant: str) -> None:
        """See :meth:`registry_api.models.uploads.interface.TenantBlobs.admit`."""
        await lock_tenant(session, tenant)
        if self._tenant_bytes == 0:
            return
        kept = await StorageRepository(session, tenant).kept_bytes()
        if kept > self._tenant_bytes:
            raise Overloaded(
                ErrorCode.QUOTA_EXCEEDED,
                f"With this the tenant would keep {kept} bytes in versions, variants, builds, images and uploads; the "
                f"limit is {self._tenant_bytes}. Give up uploads that are not needed (their room is free some minutes "
                "later), or ask the operator for more.",
                details={"bytes": kept, "limit": self._tenant_bytes},
                retry_after=_RETRY_SECONDS,
            )

    async def discard(self, tenant: str, digests: Iterable[Digest]) -> int:
        """See :meth:`registry_api.models.uploads.interface.TenantBlobs.discard`."""
        removed = 0
        for digest in dict.fromkeys(digests):
            if await self._is_there(tenant, digest):  # spares the lock where nothing can be removed
                removed += await self._discard(tenant, digest)
        return removed

    async def _is_there(self, tenant: str, digest: Digest) -> bool:
        return await self._store.size(tenant, digest) is not None or bool(await self._parts.arrived(tenant, digest))

    async def _discard(self, tenant: str, digest: Digest) -> bool:
        async with self._db.write(tenant) as session:
            await lock_tenant(session, tenant)
            if await StorageRepository(session, tenant).refers_to(digest):
                return False
            await self._store.delete(tenant, digest)
            await self._parts.discard(tenant, digest)
        return True
