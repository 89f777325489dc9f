# SPDX-License-Identifier: Apache-2.0
"""Parts of blobs that are still being sent: kept until all of them are there and the whole was checked.

    tenants/<tenant>/parts/<64 hex>/<first byte>-<byte after the last>[.sealed]
    tenants/<tenant>/parts/<64 hex>/whole                                          plain parts in a local folder
    tenants/<tenant>/parts/<64 hex>/<first byte>-<byte after the last>.placed      which of them are there

A part belongs to the tenant and the digest of the whole, not to one upload: whoever pushes the same file again goes on
where the last push ended. The bytes of a part are checked only with the whole; wrong ones are found then, and all parts
dropped. With encryption each part is an encrypted object of its own (its head before its chunks), whose subject names
digest and place. In a local folder plain parts are written straight to their places in one file, which becomes the blob
by being renamed (:mod:`artifacts.stores.placing`); a part that cannot be is kept by itself, and the whole copied. Parts
survive a killed process; after a power cut they may have to be sent again.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final

from artifacts.digest import Digest, hex_of, parse_digest
from artifacts.encryption.cipher import opened_chunks, sealed_chunks
from artifacts.encryption.head import MAX_HEAD_BYTES
from artifacts.encryption.sealing import Sealing
from artifacts.stores.arrival import counted, other_bytes
from artifacts.stores.bucket import Bucket
from artifacts.stores.failures import corrupt, translated
from artifacts.stores.objects import blob_key
from artifacts.stores.placing import WHOLE, PlacedParts, placed_span
from artifacts.stores.spans import Span
from core.clock import Clock
from core.refs import parse_name

_NAME: Final = re.compile(r"(\d{1,18})-(\d{1,18})(\.sealed)?")
_LENGTH_BYTES: Final = 4  # of the head's length before the head


class PartStore:
    """Parts in a bucket.

    Args:
        bucket: Where they are.
        sealing: Encrypts them; None keeps them plain.
        clock: For their age.
    """

    def __init__(self, bucket: Bucket, sealing: Sealing | None, clock: Clock) -> None:
        self._bucket = bucket
        self._sealing = sealing
        self._clock = clock
        self._placed = None if bucket.files is None else PlacedParts(bucket.files)

    async def put(self, tenant: str, digest: Digest, span: Span, chunks: AsyncIterator[bytes]) -> None:
        """Keeps one part; a second time replaces it.

        Raises:
            InvalidRequest: ``VALID_008`` if there are fewer or more bytes than the span has; nothing is kept.
            Unavailable: ``STORE_001`` or ``STORE_004``.
        """
        arriving = counted(chunks, span.size)
        with arriving.own_failure():
            if await self._place(tenant, digest, span, arriving):
                return
            pieces = arriving if self._sealing is None else self._sealed(self._sealing, tenant, digest, span, arriving)
            await self._bucket.publish(self._key(tenant, digest, span), pieces, name=digest, durable=False)

    async def arrived(self, tenant: str, digest: Digest) -> tuple[Span, ...]:
        """The parts that are there, by place. They may overlap."""
        names = await self._names(tenant, digest)
        return tuple(sorted({*self._by_themselves(names), *self._in_place(names)}))

    async def stream(self, tenant: str, digest: Digest, spans: Sequence[Span]) -> AsyncIterator[bytes]:
        """The bytes of parts, one after the other, in constant memory.

        Raises:
            NotFound: ``STORE_002`` if one is gone.
            StoreError: ``STORE_003`` if an encrypted one is damaged.
        """
        names = await self._names(tenant, digest)
        in_place = self._in_place(names) - self._by_themselves(names)
        for span in spans:
            stored = self._bucket.stream(self._key(tenant, digest, span), name=digest)
            if self._sealing is not None:
                pieces = _opened(self._sealing, tenant, digest, span, stored)
            elif self._placed is not None and span in in_place:
                pieces = _read(self._placed, tenant, digest, span)
            else:
                pieces = stored
            async for piece in pieces:
                yield piece

    async def join(self, tenant: str, digest: Digest, spans: Sequence[Span], *, size: int) -> bool:
        """Makes the blob of the parts, plain and on the disk, without copying them, and drops them; False if it cannot.

        Args:
            tenant: Whose they are.
            digest: Of the whole.
            spans: All of it, in order.
            size: Bytes of the whole.

        Raises:
            SignatureError: ``SIGN_004`` if they hash to something else; they stay.
        """
        names = await self._names(tenant, digest)
        if self._placed is None or not set(spans) <= self._in_place(names) - self._by_themselves(names):
            return False
        with translated(digest):
            found = await self._placed.join(
                _folder(tenant, digest), spans, size=size, digest=digest, key=blob_key(tenant, digest)
            )
        if found not in (digest, None):
            raise other_bytes(str(found), digest)
        return found is not None

    async def discard(self, tenant: str, digest: Digest) -> None:
        """Drops all parts of a blob."""
        if self._placed is not None:
            await self._placed.drop(_folder(tenant, digest))
        for name in await self._names(tenant, digest):
            if not _is_placed(name):
                await self._bucket.delete(f"{_folder(tenant, digest)}/{name}", name=digest)

    async def sweep(self, older_than: timedelta) -> int:
        """Drops the parts that came longer ago than that; returns how many."""
        before, removed = self._clock.now() - older_than, 0
        for tenant in await self._bucket.folders("tenants"):
            async for found in self._bucket.listing(f"tenants/{tenant}/parts"):
                folder, name = found.key.rsplit("/", 1)
                if found.modified_at >= before:
                    continue
                if self._placed is not None and _is_placed(name):
                    removed += await self._placed.sweep(folder, before)
                else:
                    await self._bucket.delete(found.key, name="an old part")
                    removed += 1
        return removed

    async def _place(self, tenant: str, digest: Digest, span: Span, chunks: AsyncIterator[bytes]) -> bool:
        if self._placed is None or self._sealing is not None:
            return False
        with translated(digest):
            return await self._placed.put(_folder(tenant, digest), span, chunks)

    async def _names(self, tenant: str, digest: Digest) -> frozenset[str]:
        listing = self._bucket.listing(_folder(tenant, digest))
        return frozenset([found.key.rsplit("/", 1)[-1] async for found in listing])

    def _by_themselves(self, names: Iterable[str]) -> frozenset[Span]:
        spans = (_span(name, sealed=self._sealing is not None) for name in names)
        return frozenset(span for span in spans if span is not None)

    def _in_place(self, names: Collection[str]) -> frozenset[Span]:
        if self._placed is None or self._sealing is not None or WHOLE not in names:
            return frozenset()
        return frozenset(span for span in map(placed_span, names) if span is not None)

    def _key(self, tenant: str, digest: Digest, span: Span) -> str:
        suffix = "" if self._sealing is None else ".sealed"
        return f"{_folder(tenant, digest)}/{span.start}-{span.end}{suffix}"

    async def _sealed(
        self, sealing: Sealing, tenant: str, digest: Digest, span: Span, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        opened = await sealing.begin(tenant, _subject(digest, span), span.size)
        yield len(opened.encoded).to_bytes(_LENGTH_BYTES, "big") + opened.encoded
        async for sealed in sealed_chunks(opened.cipher, opened.head, chunks):
            yield sealed


async def _read(placed: PlacedParts, tenant: str, digest: Digest, span: Span) -> AsyncIterator[bytes]:
    try:
        with translated(digest):
            async for piece in placed.stream(_folder(tenant, digest), span):
                yield piece
    except EOFError:
        raise corrupt(digest, "a part of it is cut") from None


async def _opened(
    sealing: Sealing, tenant: str, digest: Digest, span: Span, stored: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    held, length = bytearray(), -1
    async for piece in stored:
        held += piece
        if length < 0 and len(held) >= _LENGTH_BYTES:
            length = int.from_bytes(held[:_LENGTH_BYTES], "big")
        if length > MAX_HEAD_BYTES or 0 <= length <= len(held) - _LENGTH_BYTES:
            break
    if not 0 <= length <= min(MAX_HEAD_BYTES, len(held) - _LENGTH_BYTES):
        raise corrupt(digest, "a part of it has no head")
    body = _LENGTH_BYTES + length
    opened = await sealing.open(tenant, _subject(digest, span), bytes(held[_LENGTH_BYTES:body]))
    async for plain in opened_chunks(opened.cipher, opened.head, _after(bytes(held[body:]), stored)):
        yield plain


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _folder(tenant: str, digest: Digest) -> str:
    return f"tenants/{parse_name(tenant, what='tenant')}/parts/{hex_of(parse_digest(digest))}"


def _subject(digest: Digest, span: Span) -> str:
    return f"part {span.start}-{span.end} of {digest}"


def _is_placed(name: str) -> bool:
    return name == WHOLE or placed_span(name) is not None


def _span(name: str, *, sealed: bool) -> Span | None:
    found = _NAME.fullmatch(name)
    if found is None or (found[3] is not None) != sealed:
        return None
    return Span(start=int(found[1]), end=int(found[2]))
