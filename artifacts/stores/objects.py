# SPDX-License-Identifier: Apache-2.0
"""Blobs on obstore: a local folder, memory and, unchanged, S3, GCS or Azure.

    tenants/<tenant>/blobs/sha256/<aa>/<64 hex>    <aa>: the first two digits, so that no folder grows too long
    staging/<uuid>                                 unfinished writes of a local folder

Bytes are hashed on the way in, before the last step makes them visible, and on the way out. A blob of the wrong length (a
disk that lost its tail) is written again by the next put; any other damage is reported by ``read`` and ``stream``.
"""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Final, Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore

from artifacts.digest import Digest, StreamingDigest, hex_of, parse_digest
from artifacts.stores.arrival import CheckedChunks
from artifacts.stores.publishing import DirectPublisher, FolderPublisher, Publisher
from core.clock import Clock, SystemClock
from core.errors import ErrorCode, InvalidRequest, NotFound, StoreError, Unavailable
from core.refs import parse_name

STREAM_BYTES: Final = 1024 * 1024  # of one piece of a stream
FULL_RETRY_SECONDS: Final = 60.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")


class ObjectBlobStore:
    """A :class:`~artifacts.stores.interface.BlobStore` on any obstore store."""

    def __init__(self, store: ObjectStore, *, publisher: Publisher | None = None, clock: Clock | None = None) -> None:
        self._store = store
        self._publisher = publisher or DirectPublisher(store)
        self._clock = clock or SystemClock()

    @classmethod
    def local(cls, path: Path, *, clock: Clock | None = None) -> Self:
        """A store in a folder, made with mode 0700 if it is not there."""
        root = path.absolute()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = LocalStore(root)
        return cls(store, publisher=FolderPublisher(store, root), clock=clock)

    @classmethod
    def memory(cls) -> Self:
        """A store that ends with the process."""
        return cls(MemoryStore())

    async def put(self, tenant: str, chunks: AsyncIterator[bytes], *, digest: Digest, size: int) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.put`."""
        if await self.size(tenant, digest) == size:
            return
        arriving = CheckedChunks(chunks, digest=digest, size=size)
        try:
            with _translated(digest):
                await self._publisher.publish(_key(tenant, digest), arriving)
        except Exception:
            if arriving.failure is not None:
                raise arriving.failure from None
            raise

    async def read(self, tenant: str, digest: Digest, *, limit: int) -> bytes:
        """See :meth:`artifacts.stores.interface.BlobStore.read`."""
        whole = BytesIO()
        with _translated(digest):
            found = await obstore.get_async(self._store, _key(tenant, digest))
            if found.meta["size"] > limit:
                raise InvalidRequest(
                    ErrorCode.TOO_LARGE,
                    f"Blob {digest} has {found.meta['size']} bytes; the limit is {limit}.",
                    details={"digest": digest, "size": found.meta["size"], "limit": limit},
                )
            async for piece in _verified(found.stream(min_chunk_size=STREAM_BYTES), digest):
                whole.write(piece)
        return whole.getvalue()

    async def stream(self, tenant: str, digest: Digest, *, start: int = 0) -> AsyncIterator[bytes]:
        """See :meth:`artifacts.stores.interface.BlobStore.stream`."""
        key, size = _key(tenant, digest), await self.size(tenant, digest)
        if size is None:
            raise _not_found(digest)
        if not 0 <= start <= size:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"Start {start} lies outside blob {digest} of {size} bytes.",
                details={"field": "start", "size": size},
            )
        if start == size != 0:
            return
        with _translated(digest):
            if start == 0:
                found = await obstore.get_async(self._store, key)
                pieces = _verified(found.stream(min_chunk_size=STREAM_BYTES), digest)
            else:
                found = await obstore.get_async(self._store, key, options={"range": {"offset": start}})
                pieces = found.stream(min_chunk_size=STREAM_BYTES)
            async for piece in pieces:
                yield piece

    async def size(self, tenant: str, digest: Digest) -> int | None:
        """See :meth:`artifacts.stores.interface.BlobStore.size`."""
        key = _key(tenant, digest)
        try:
            with _translated(digest):
                return (await obstore.head_async(self._store, key))["size"]
        except NotFound:
            return None

    async def delete(self, tenant: str, digest: Digest) -> None:
        """See :meth:`artifacts.stores.interface.BlobStore.delete`."""
        key = _key(tenant, digest)
        try:
            with _translated(digest):
                await obstore.delete_async(self._store, key)
        except NotFound:
            return

    async def sweep_staging(self, older_than: timedelta) -> int:
        """Removes what unfinished puts left behind; returns how many files.

        Args:
            older_than: The age from which nobody can still be writing: more than the longest upload.
        """
        return await self._publisher.sweep(self._clock.now() - older_than)


def _key(tenant: str, digest: Digest) -> str:
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
        raise StoreError(
            ErrorCode.BLOB_CORRUPT,
            f"Blob {digest} is damaged: its {seen.size} bytes hash to {seen.value}. Delete it and upload it again.",
            details={"digest": digest, "got": seen.value},
        )
    if held:
        yield held


@contextmanager
def _translated(digest: Digest) -> Iterator[None]:
    """Turns what obstore and the system raise into our errors; ours pass."""
    try:
        yield
    except FileNotFoundError:
        raise _not_found(digest) from None
    except (BaseError, OSError) as error:
        numbers = {int(found) for found in _OS_ERROR.findall(str(error))} | {getattr(error, "errno", None)}
        if numbers & _FULL:
            raise Unavailable(
                ErrorCode.STORE_FULL,
                f"The blob store has no room for {digest}. Free space, then try again.",
                details={"digest": digest},
                log_context={"cause": str(error)},
                retry_after=FULL_RETRY_SECONDS,
            ) from error
        raise Unavailable(
            ErrorCode.STORE_UNAVAILABLE,
            "The blob store cannot be reached. Try again later.",
            log_context={"cause": str(error), "digest": digest},
        ) from error


def _not_found(digest: Digest) -> NotFound:
    return NotFound(ErrorCode.BLOB_NOT_FOUND, f"There is no blob {digest}.", details={"digest": digest})
