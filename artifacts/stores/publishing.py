# SPDX-License-Identifier: Apache-2.0
"""How bytes become visible under their name in one step, and how small objects change hands without a race.

Object stores and the memory store do it themselves: a put is atomic, an unfinished one is invisible, and a put may carry a
condition. A folder needs more: :mod:`artifacts.stores.folder`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How a large put is cut. One put holds at most about ``bytes * (in_flight + 1)`` in memory."""

    bytes: int = 8 * 1024 * 1024  # of one part; S3 takes 5 MiB to 5 GiB, and 10,000 parts
    in_flight: int = 4


class Publisher(Protocol):
    """Writes objects so that a name appears only when its bytes are complete."""

    async def publish(self, key: str, chunks: AsyncIterator[bytes], *, durable: bool) -> None:
        """Writes ``chunks`` under ``key``; if they end with an error, nothing becomes visible.

        Args:
            key: The name.
            chunks: The bytes.
            durable: Whether it must survive a power cut. Otherwise it survives a killed process only, and costs less.
        """
        ...

    async def create(self, key: str, data: bytes) -> bool:
        """Writes a small object unless the name is taken; says whether it did. Of several who try, one succeeds."""
        ...

    async def replace(self, key: str, data: bytes, *, expected: str) -> bool:
        """Writes a small object over the one whose entity tag is ``expected``; False, and no change, if it is another one."""
        ...

    async def delete(self, key: str) -> None:
        """Removes an object.

        Raises:
            FileNotFoundError: On some stores, if there is none.
        """
        ...

    async def sweep(self, before: datetime) -> int:
        """Removes what unfinished writes left behind before a moment; returns how many."""
        ...


class MultipartSweeper(Protocol):
    """Ends multipart uploads that nobody will complete."""

    async def sweep(self, before: datetime) -> int:
        """Aborts those begun before a moment; returns how many."""
        ...


class DirectPublisher:
    """For stores whose put is atomic and may carry a condition.

    Args:
        store: The store.
        parts: How a large put is cut.
        sweeper: Ends what killed processes left; None where a store keeps nothing of an unfinished put.
    """

    def __init__(self, store: ObjectStore, *, parts: Parts, sweeper: MultipartSweeper | None = None) -> None:
        self._store = store
        self._parts = parts
        self._sweeper = sweeper

    async def publish(self, key: str, chunks: AsyncIterator[bytes], *, durable: bool) -> None:  # noqa: ARG002
        """Writes ``chunks`` under ``key`` in one atomic put, always durable."""
        parts = self._parts
        await obstore.put_async(self._store, key, chunks, chunk_size=parts.bytes, max_concurrency=parts.in_flight)

    async def create(self, key: str, data: bytes) -> bool:
        """See :class:`Publisher`."""
        try:
            await obstore.put_async(self._store, key, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    async def replace(self, key: str, data: bytes, *, expected: str) -> bool:
        """See :class:`Publisher`."""
        # Ceph compares If-Match with the bare tag; S3 takes both forms.
        tag = expected.strip('"')
        try:
            await obstore.put_async(self._store, key, data, mode={"e_tag": tag}, use_multipart=False)
        except (PreconditionError, FileNotFoundError):
            return False
        return True

    async def delete(self, key: str) -> None:
        """See :class:`Publisher`."""
        await obstore.delete_async(self._store, key)

    async def sweep(self, before: datetime) -> int:
        """See :class:`Publisher`."""
        return 0 if self._sweeper is None else await self._sweeper.sweep(before)
