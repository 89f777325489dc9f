# SPDX-License-Identifier: Apache-2.0
"""Parts of blobs that are still being sent: kept until all of them are there and the whole was checked.

    tenants/<tenant>/parts/<64 hex>/<first byte>-<byte after the last>[.sealed]

A part belongs to the tenant and the digest of the whole, not to one upload: whoever pushes the same file again goes on
where the last push ended. The bytes of a part are checked only with the whole; wrong ones are found then, and all parts
dropped. With encryption each part is an encrypted object of its own (its head before its chunks), whose subject names
digest and place. Parts survive a killed process; after a power cut they may have to be sent again.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from artifacts.digest import Digest, hex_of, parse_digest
from artifacts.encryption.cipher import opened_chunks, sealed_chunks
from artifacts.encryption.head import MAX_HEAD_BYTES
from artifacts.encryption.sealing import Sealing
from artifacts.stores.arrival import counted
from artifacts.stores.bucket import Bucket, Found
from artifacts.stores.failures import corrupt
from core.clock import Clock
from core.refs import parse_name

_NAME: Final = re.compile(r"(\d{1,18})-(\d{1,18})(\.sealed)?")
_LENGTH_BYTES: Final = 4  # of the head's length before the head


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """A range of bytes."""

    start: int
    end: int  # the byte after the last

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self.end - self.start


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

    async def put(self, tenant: str, digest: Digest, span: Span, chunks: AsyncIterator[bytes]) -> None:
        """Keeps one part; a second time replaces it.

        Raises:
            InvalidRequest: ``VALID_008`` if there are fewer or more bytes than the span has; nothing is kept.
            Unavailable: ``STORE_001`` or ``STORE_004``.
        """
        arriving = counted(chunks, span.size)
        with arriving.own_failure():
            pieces = arriving if self._sealing is None else self._sealed(self._sealing, tenant, digest, span, arriving)
            await self._bucket.publish(self._key(tenant, digest, span), pieces, name=digest, durable=False)

    async def arrived(self, tenant: str, digest: Digest) -> tuple[Span, ...]:
        """The parts that are there, by place. They may overlap."""
        found = [_span(each.key, sealed=self._sealing is not None) async for each in self._listing(tenant, digest)]
        return tuple(sorted(span for span in found if span is not None))

    async def stream(self, tenant: str, digest: Digest, spans: Sequence[Span]) -> AsyncIterator[bytes]:
        """The bytes of parts, one after the other, in constant memory.

        Raises:
            NotFound: ``STORE_002`` if one is gone.
            StoreError: ``STORE_003`` if an encrypted one is damaged.
        """
        for span in spans:
            stored = self._bucket.stream(self._key(tenant, digest, span), name=digest)
            pieces = stored if self._sealing is None else _opened(self._sealing, tenant, digest, span, stored)
            async for piece in pieces:
                yield piece

    async def discard(self, tenant: str, digest: Digest) -> None:
        """Drops all parts of a blob."""
        async for found in self._listing(tenant, digest):
            await self._bucket.delete(found.key, name=digest)

    async def sweep(self, older_than: timedelta) -> int:
        """Drops the parts that came longer ago than that; returns how many."""
        before, removed = self._clock.now() - older_than, 0
        for tenant in await self._bucket.folders("tenants"):
            async for found in self._bucket.listing(f"tenants/{tenant}/parts"):
                if found.modified_at < before:
                    await self._bucket.delete(found.key, name="an old part")
                    removed += 1
        return removed

    def _listing(self, tenant: str, digest: Digest) -> AsyncIterator[Found]:
        return self._bucket.listing(_folder(tenant, digest))

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


async def _opened(
    sealing: Sealing, tenant: str, digest: Digest, span: Span, stored: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    held, length = bytearray(), -1
    async for piece in stored:
        held += piece
        if length < 0 and len(held) >= _LENGTH_BYTES:
            length = int.from_bytes(held[:_LENGTH_BYTES], "big")
        if 0 <= length <= len(held) - _LENGTH_BYTES:
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


def _span(key: str, *, sealed: bool) -> Span | None:
    found = _NAME.fullmatch(key.rsplit("/", 1)[-1])
    if found is None or (found[3] is not None) != sealed:
        return None
    return Span(start=int(found[1]), end=int(found[2]))
