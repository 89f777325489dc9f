# SPDX-License-Identifier: Apache-2.0
"""Files that are sent in parts: which parts are there, and the whole made of them.

What has arrived is what the store holds, so a killed registry has forgotten nothing, and any registry process on the same
store can take any part. The whole is hashed, and only then visible: where the parts lie in one file already it becomes the
blob, otherwise it is read and stored like a file that was sent at once.
Parts that turn out to be something else than what was declared are dropped, so that the next push begins anew.
"""

from __future__ import annotations

from artifacts.manifest import FileEntry
from artifacts.stores.interface import BlobStore
from artifacts.stores.parts import PartStore
from core.errors import Conflict, ErrorCode, NotFound, SignatureError, StoreError
from registry_api.models.uploads.ranges import part_count, part_span


class PartJoiner:
    """The parts of declared files.

    Args:
        parts: Where parts are.
        store: Where the wholes go.
        part_bytes: The size of a part.
    """

    def __init__(self, parts: PartStore, store: BlobStore, *, part_bytes: int) -> None:
        self.parts = parts
        self.part_bytes = part_bytes
        self._store = store

    async def numbers(self, tenant: str, entry: FileEntry) -> tuple[int, ...]:
        """The parts of a file that are there, counted from 0."""
        if entry.size <= self.part_bytes:
            return ()
        there = frozenset(await self.parts.arrived(tenant, entry.digest))
        count = part_count(entry, part_bytes=self.part_bytes)
        return tuple(n for n in range(count) if part_span(n, entry, part_bytes=self.part_bytes) in there)

    async def join(self, tenant: str, entry: FileEntry) -> None:
        """Stores the file that the parts make, and drops them.

        Raises:
            Conflict: ``UPLOAD_002`` if parts are missing; the message counts them.
            SignatureError: ``SIGN_004`` if they make another file; they were dropped.
            StoreError: ``STORE_003`` if one was damaged in the store; they were dropped.
            Unavailable: ``STORE_001`` or ``STORE_004``.
        """
        count = part_count(entry, part_bytes=self.part_bytes)
        spans = [part_span(number, entry, part_bytes=self.part_bytes) for number in range(count)]
        there = frozenset(await self.parts.arrived(tenant, entry.digest))
        missing = [number for number, span in enumerate(spans) if span not in there]
        if missing:
            raise _incomplete(entry, missing, count)
        try:
            if not await self.parts.join(tenant, entry.digest, spans, size=entry.size):
                whole = self.parts.stream(tenant, entry.digest, spans)
                await self._store.put(tenant, whole, digest=entry.digest, size=entry.size)
        except NotFound:  # somebody else joined the same file, and dropped the parts
            if await self._store.size(tenant, entry.digest) != entry.size:
                raise _incomplete(entry, list(range(count)), count) from None
        except (SignatureError, StoreError):
            await self.parts.discard(tenant, entry.digest)
            raise
        await self.parts.discard(tenant, entry.digest)


def _incomplete(entry: FileEntry, missing: list[int], count: int) -> Conflict:
    return Conflict(
        ErrorCode.UPLOAD_INCOMPLETE,
        f"{len(missing)} of {count} parts of {entry.path!r} have not arrived: send them, then say again that it is complete.",
        details={"missing": missing[:100], "missing_count": len(missing)},
    )
