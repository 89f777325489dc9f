# SPDX-License-Identifier: Apache-2.0
"""Blocking work on open files, off the event loop, and the pieces it is done in.

A thread cannot be cancelled. Whoever closes a descriptor right after a cancellation takes it from a thread that still writes,
and the number may already be another file's. :func:`finished` therefore waits for the thread before it lets the cancellation
through.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

PIECE_BYTES: Final = 1024 * 1024  # worth a thread's work
_MOST_BUFFERS: Final = 512  # of one write; Linux takes 1024


async def finished(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Runs blocking work in a thread; when this returns or raises, the thread has ended, even after a cancellation."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **named))
    try:
        return await asyncio.shield(running)
    finally:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # one is on its way already
                await asyncio.wait((running,))


async def gathered(chunks: AsyncIterator[bytes], size: int = PIECE_BYTES) -> AsyncIterator[list[bytes]]:
    """The same bytes, several chunks at a time: about ``size`` bytes, none copied."""
    held: list[bytes] = []
    length = 0
    async for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length >= size or len(held) >= _MOST_BUFFERS:
            yield held
            held, length = [], 0
    if held:
        yield held


class Ahead:
    """The same pieces; the next one is fetched while the last one is used. What fetching raises comes in its turn.

    ``aclose`` ends the fetching, and may be called while somebody still waits for a piece.
    """

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._upcoming: asyncio.Future[bytes | None] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await (self._upcoming or self._fetch())
        if piece is None:
            raise StopAsyncIteration
        self._upcoming = self._fetch()
        return piece

    async def aclose(self) -> None:
        if self._upcoming is not None:
            self._upcoming.cancel()
            await asyncio.gather(self._upcoming, return_exceptions=True)

    def _fetch(self) -> asyncio.Future[bytes | None]:
        self._upcoming = asyncio.ensure_future(anext(self._pieces, None))
        return self._upcoming


def write_at(descriptor: int, pieces: Sequence[bytes], offset: int) -> int:
    """Writes all pieces, one after the other, from a byte of a file on; returns the byte after the last."""
    rest = [memoryview(piece) for piece in pieces if piece]
    while rest:
        written = os.pwritev(descriptor, rest, offset)
        offset += written
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if written:
            rest[0] = rest[0][written:]
    return offset
