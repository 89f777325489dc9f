# SPDX-License-Identifier: Apache-2.0
"""Named objects on obstore, in our errors: what plain, encrypted and half-sent blobs are all made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import obstore
from obstore.store import LocalStore, MemoryStore, ObjectStore

from artifacts.stores.failures import translated
from artifacts.stores.folder import FolderPublisher
from artifacts.stores.local import LocalFiles
from artifacts.stores.publishing import DirectPublisher, Parts, Publisher
from core.errors import NotFound

STREAM_BYTES: Final = 1024 * 1024  # of one piece of a stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object as a listing shows it."""

    key: str
    size: int  # bytes
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """A whole small object."""

    data: bytes
    tag: str  # its entity tag, for :meth:`Bucket.replace`


class Bucket:
    """Objects by key. ``name`` in each method is what messages call the object.

    Every method raises ``STORE_001`` (retryable) if the store cannot be reached, ``STORE_004`` if it has no room.

    Args:
        store: Where they are.
        publisher: How they become visible.
        range_bytes: An object is read by requests of so many bytes, each with its own time limit and retries; None: by one.
        files: The objects as files, where they are some.
    """

    def __init__(
        self,
        store: ObjectStore,
        publisher: Publisher,
        *,
        range_bytes: int | None = None,
        files: LocalFiles | None = None,
    ) -> None:
        self.files = files
        self._store = store
        self._publisher = publisher
        self._range_bytes = range_bytes

    @classmethod
    def local(cls, path: Path) -> Self:
        """A folder, made with mode 0700 if it is not there."""
        root = path.absolute()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = LocalStore(root)
        return cls(store, FolderPublisher(store, root), files=LocalFiles(root))

    @classmethod
    def memory(cls) -> Self:
        """Objects that end with the process."""
        store = MemoryStore()
        return cls(store, DirectPublisher(store, parts=Parts()))

    async def publish(self, key: str, chunks: AsyncIterator[bytes], *, name: str, durable: bool = True) -> None:
        """Writes an object of any size in constant memory; visible when ``chunks`` ended without an error.

        Args:
            key: Its key.
            chunks: Its bytes.
            name: What messages call it.
            durable: Whether it must survive a power cut, not only a killed process.
        """
        with translated(name):
            await self._publisher.publish(key, chunks, durable=durable)

    async def create(self, key: str, data: bytes, *, name: str) -> bool:
        """Writes a small object unless there is one; says whether it did."""
        with translated(name):
            return await self._publisher.create(key, data)

    async def replace(self, key: str, data: bytes, *, expected: str, name: str) -> bool:
        """Writes a small object over the one with that tag; says whether it did."""
        with translated(name):
            return await self._publisher.replace(key, data, expected=expected)

    async def small(self, key: str, *, limit: int, name: str) -> Small:
        """A whole object of at most ``limit`` bytes; of a larger one, its beginning.

        Raises:
            NotFound: ``STORE_002`` if there is none.
        """
        with translated(name):
            found = await obstore.get_async(self._store, key)
            data = bytearray()
            async for piece in found.stream(min_chunk_size=limit):
                data += piece
                if len(data) > limit:
                    break
            return Small(data=bytes(data[:limit]), tag=found.meta["e_tag"] or "")

    async def stream(self, key: str, *, start: int = 0, name: str) -> AsyncIterator[bytes]:
        """An object in pieces from byte ``start``, which is below its size or 0.

        Raises:
            NotFound: ``STORE_002`` if there is none.
        """
        with translated(name):
            if self._range_bytes is not None:
                async for piece in self._ranges(key, start, self._range_bytes):
                    yield piece
                return
            if start == 0:
                found = await obstore.get_async(self._store, key)
            else:
                found = await obstore.get_async(self._store, key, options={"range": {"offset": start}})
            async for piece in found.stream(min_chunk_size=STREAM_BYTES):
                yield bytes(piece)

    async def _ranges(self, key: str, start: int, step: int) -> AsyncIterator[bytes]:
        """An object never changes under its key, so what several requests bring fits together."""
        size = (await obstore.head_async(self._store, key))["size"]
        for first in range(start, size, step):
            wanted = (first, min(first + step, size))
            found = await obstore.get_async(self._store, key, options={"range": wanted})
            async for piece in found.stream(min_chunk_size=STREAM_BYTES):
                yield bytes(piece)

    async def size(self, key: str, *, name: str) -> int | None:
        """Bytes of an object; None if there is none."""
        try:
            with translated(name):
                return (await obstore.head_async(self._store, key))["size"]
        except NotFound:
            return None

    async def delete(self, key: str, *, name: str) -> None:
        """Removes an object; does nothing if there is none."""
        try:
            with translated(name):
                await self._publisher.delete(key)
        except NotFound:
            return

    async def listing(self, prefix: str) -> AsyncIterator[Found]:
        """Every object whose key begins with the folder ``prefix``, in no order."""
        with translated(prefix):
            async for page in obstore.list(self._store, prefix):
                for meta in page:
                    yield Found(key=meta["path"], size=meta["size"], modified_at=meta["last_modified"])

    async def folders(self, prefix: str) -> list[str]:
        """The names right below the folder ``prefix`` that are folders themselves."""
        with translated(prefix):
            found = await obstore.list_with_delimiter_async(self._store, prefix)
        return sorted(path.rsplit("/", 1)[-1] for path in found["common_prefixes"])

    async def sweep(self, before: datetime) -> int:
        """Removes what unfinished writes left behind before a moment; returns how many."""
        with translated("unfinished writes"):
            return await self._publisher.sweep(before)
