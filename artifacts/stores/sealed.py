# SPDX-License-Identifier: Apache-2.0
"""Blobs encrypted at rest. The format is docs/reference/encryption-format.md; digests and sizes are those of the plaintext.

    tenants/<tenant>/sealed/sha256/<aa>/<64 hex>/head    which data object counts, and its wrapped key: a small object
    tenants/<tenant>/sealed/sha256/<aa>/<64 hex>/<id>    the encrypted chunks, under a random id

The head makes a blob visible. It is created on the condition that there is none, after the data is complete, so of several
puts at once one wins and nobody ever reads one's data with another's key. Rotation replaces the head on the condition that
it is still the one that was read. Data that no head names is what a killed or beaten put left; ``sweep_staging`` removes
it.

What is decrypted is authentic: it is what was put under this digest, when its digest was checked. So it is not hashed again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from artifacts.digest import PREFIX, Digest, hex_of, parse_digest
from artifacts.encryption.cipher import opened_chunks, sealed_chunks
from artifacts.encryption.head import MAX_HEAD_BYTES, TAG_BYTES, Head, parse_head
from artifacts.encryption.sealing import Opened, Sealing
from artifacts.stores.arrival import CheckedChunks
from artifacts.stores.bucket import Bucket, Small
from artifacts.stores.failures import corrupt
from artifacts.stores.interface import StoredBlob
from artifacts.stores.reading import check_limit, check_start, gather
from artifacts.stores.threads import Ahead
from core.clock import Clock, SystemClock
from core.errors import FuroshikiError, NotFound, StoreError
from core.refs import parse_name

_HEAD = "head"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    tenant: str
    digest: Digest
    folder: str

    @property
    def head(self) -> str:
        return f"{self.folder}/{_HEAD}"

    def data(self, head: Head) -> str:
        return f"{self.folder}/{head.object_id.hex()}"


class SealedBlobStore:
    """A :class:`~artifacts.stores.interface.ManagedStore` whose objects are encrypted."""

    def __init__(self, bucket: Bucket, sealing: Sealing, *, clock: Clock | None = None) -> None:
        self._bucket = bucket
        self._sealing = sealing
        self._clock = clock or SystemClock()

    async def put(self, tenant: str, chunks: AsyncIterator[bytes], *, digest: Digest, size: int) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.put`."""
        place = _place(tenant, digest)
        before = await self._find_head(place)
        if before is not None and await self._whole(place, before, size):
            return
        opened = await self._sealing.begin(tenant, digest, size)
        async with aclosing(Ahead(chunks)) as received:
            arriving = CheckedChunks(received, digest=digest, size=size)
            await self._publish(place, opened, arriving, digest)
        if not await self._appoint(place, opened, before):
            await self._bucket.delete(place.data(opened.head), name=digest)

    async def _publish(self, place: _Place, opened: Opened, arriving: CheckedChunks, digest: Digest) -> None:
        """Receives, encrypts and writes at the same time: each stage works on one piece while the next waits for it."""
        async with (
            aclosing(Ahead(arriving)) as plain,
            aclosing(sealed_chunks(opened.cipher, opened.head, plain)) as sealed,
            aclosing(Ahead(sealed)) as writing,
        ):
            with arriving.own_failure():
                await self._bucket.publish(place.data(opened.head), writing, name=digest)

    async def read(self, tenant: str, digest: Digest, *, limit: int) -> bytes:
        """See :meth:`artifacts.stores.interface.BlobStore.read`."""
        check_limit(await self.size(tenant, digest), limit, digest)
        return await gather(self.stream(tenant, digest))

    async def stream(self, tenant: str, digest: Digest, *, start: int = 0) -> AsyncIterator[bytes]:
        """See :meth:`artifacts.stores.interface.BlobStore.stream`. From elsewhere only the chunks needed are fetched."""
        place = _place(tenant, digest)
        opened = await self._open(place, await self._head(place))
        head = opened.head
        check_start(start, head.size, digest)
        if start == head.size != 0:
            return
        first, skip = divmod(start, head.chunk_bytes)
        at = first * (head.chunk_bytes + TAG_BYTES)
        try:
            sealed = self._bucket.stream(place.data(head), start=at, name=digest)
            async for piece in opened_chunks(opened.cipher, head, sealed, first=first):
                if rest := piece[skip:] if skip else piece:
                    yield rest
                skip = 0
        except NotFound:
            raise corrupt(digest, "its encrypted data is gone") from None
        except StoreError as error:
            raise corrupt(digest, error.message) from error

    async def lend(self, tenant: str, digest: Digest, path: Path) -> bool:  # noqa: ARG002
        """See :meth:`artifacts.stores.interface.BlobStore.lend`. No file here holds the blob's bytes."""
        return False

    async def size(self, tenant: str, digest: Digest) -> int | None:
        """See :meth:`artifacts.stores.interface.BlobStore.size`. A blob that is cut, or whose head is, counts as absent."""
        place = _place(tenant, digest)
        found = await self._find_head(place)
        if found is None:
            return None
        try:
            head, _, _ = parse_head(found.data)
        except StoreError:
            return None
        return head.size if await self._whole(place, found, head.size) else None

    async def delete(self, tenant: str, digest: Digest) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.delete`."""
        place = _place(tenant, digest)
        await self._bucket.delete(place.head, name=digest)
        async for found in self._bucket.listing(place.folder):
            await self._bucket.delete(found.key, name=digest)

    async def blobs(self, tenant: str) -> AsyncIterator[StoredBlob]:
        """See :meth:`artifacts.stores.interface.ManagedStore.blobs`."""
        async for found in self._bucket.listing(_root(tenant)):
            folder, name = found.key.rsplit("/", 1)
            if name == _HEAD:
                yield StoredBlob(digest=_digest(folder), size=found.size, modified_at=found.modified_at)

    async def tenants(self) -> list[str]:
        """See :meth:`artifacts.stores.interface.ManagedStore.tenants`."""
        return await self._bucket.folders("tenants")

    async def sweep_staging(self, older_than: timedelta) -> int:
        """See :meth:`artifacts.stores.interface.ManagedStore.sweep_staging`."""
        return await self._bucket.sweep(self._clock.now() - older_than)

    async def drop_unnamed(self, older_than: timedelta) -> int:
        """Removes data that no head names, of killed or beaten puts; returns how many. It lists every encrypted object.

        Args:
            older_than: The age from which nobody can still be writing: more than the longest upload.
        """
        before, removed = self._clock.now() - older_than, 0
        for tenant in await self.tenants():
            async for found in self._bucket.listing(_root(tenant)):
                if found.modified_at < before and not found.key.endswith(f"/{_HEAD}"):
                    removed += await self._drop_unnamed(tenant, found.key)
        return removed

    async def rewrap(self, tenant: str, digest: Digest) -> bool:
        """Wraps the blob's data key by the tenant's present key; says whether there was anything to do.

        The data is not touched. Killed anywhere, the head is the old or the new one, and both open the same data.

        Raises:
            NotFound: ``STORE_002`` if there is no such encrypted blob.
            StoreError: ``STORE_003`` if its head is damaged.
        """
        place = _place(tenant, digest)
        while True:
            stored = await self._head(place)
            opened = await self._sealing.rewrap(tenant, digest, stored.data)
            if opened is None:
                return False
            if await self._bucket.replace(place.head, opened.encoded, expected=stored.tag, name=digest):
                return True

    async def _appoint(self, place: _Place, opened: Opened, before: Small | None) -> bool:
        """Makes our data the blob's; False if another put was first. A head whose data is lost or damaged gives way."""
        if before is None:
            return await self._bucket.create(place.head, opened.encoded, name=place.digest)
        return await self._bucket.replace(place.head, opened.encoded, expected=before.tag, name=place.digest)

    async def _find_head(self, place: _Place) -> Small | None:
        try:
            return await self._head(place)
        except NotFound:
            return None

    async def _head(self, place: _Place) -> Small:
        return await self._bucket.small(place.head, limit=MAX_HEAD_BYTES, name=place.digest)

    async def _open(self, place: _Place, stored: Small) -> Opened:
        try:
            return await self._sealing.open(place.tenant, place.digest, stored.data)
        except StoreError as error:
            raise corrupt(place.digest, error.message) from error

    async def _whole(self, place: _Place, stored: Small, size: int) -> bool:
        """Whether the head is readable, says that size, and its data has the length that belongs to it."""
        try:
            head, _, _ = parse_head(stored.data)
        except StoreError:
            return False
        if head.size != size:
            return False
        return await self._bucket.size(place.data(head), name=place.digest) == head.sealed_size

    async def _drop_unnamed(self, tenant: str, key: str) -> bool:
        folder, name = key.rsplit("/", 1)
        place = _place(tenant, _digest(folder))
        try:
            stored = await self._find_head(place)
            if stored is not None and parse_head(stored.data)[0].object_id.hex() == name:
                return False
        except FuroshikiError:
            return False  # an unreadable head may name it: fsck tells, a human decides
        await self._bucket.delete(key, name=place.digest)
        return True


def _root(tenant: str) -> str:
    return f"tenants/{parse_name(tenant, what='tenant')}/sealed/sha256"


def _place(tenant: str, digest: Digest) -> _Place:
    digits = hex_of(parse_digest(digest))
    return _Place(tenant=tenant, digest=digest, folder=f"{_root(tenant)}/{digits[:2]}/{digits}")


def _digest(folder: str) -> Digest:
    return PREFIX + folder.rsplit("/", 1)[-1]
