# SPDX-License-Identifier: Apache-2.0
"""Work in threads ends before its descriptor is closed; pieces are written whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from threading import Event

import pytest

from artifacts.stores.testing import broken, chunks_of
from artifacts.stores.threads import Ahead, finished, gathered, write_at


async def test_a_cancelled_caller_waits_for_the_thread() -> None:
    """However often it is cancelled, the caller ends after the thread."""
    begun, go_on, ended = asyncio.Event(), Event(), Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()
        ended.set()

    task = asyncio.create_task(finished(work))
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_the_work_returns_or_raises_comes_back() -> None:
    """As of a plain call."""
    assert await finished(int, "3") == 3
    with pytest.raises(ValueError, match="no"):
        await finished(int, "no")


async def test_pieces_are_all_bytes_in_order() -> None:
    """Of any chunk size, also more chunks than one write takes."""
    data = os.urandom(10_000)
    for step in (1, 3, 999, 20_000):
        found = [b"".join(pieces) async for pieces in gathered(chunks_of(data, step), 5_000)]
        assert b"".join(found) == data
        assert all(len(piece) >= min(512 * step, 5_000) for piece in found[:-1])


async def test_the_next_piece_is_fetched_while_one_is_used() -> None:
    """All pieces come in order, one of them early; an error comes after the pieces before it."""
    fetched: list[bytes] = []

    async def source() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            fetched.append(piece)
            yield piece

    pieces = Ahead(source())
    assert await anext(pieces) == b"a"
    await asyncio.sleep(0)
    assert fetched == [b"a", b"b"]
    assert [piece async for piece in pieces] == [b"b", b"c"]
    late = Ahead(broken(b"a", ValueError("gone")))
    assert await anext(late) == b"a"
    with pytest.raises(ValueError, match="gone"):
        await anext(late)


async def test_who_stops_early_ends_the_fetching() -> None:
    """Closing cancels the source."""
    ended = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"a"
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    pieces = Ahead(source())
    assert await anext(pieces) == b"a"
    await asyncio.sleep(0)
    await pieces.aclose()
    assert ended.is_set()


def test_writing_continues_where_it_stopped(tmp_path: Path) -> None:
    """Pieces land one after the other at their offset; empty ones are nothing."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        assert write_at(descriptor, [b"ab", b"", b"cde"], 3) == 8
        assert os.pread(descriptor, 100, 0) == b"\0\0\0abcde"
    finally:
        os.close(descriptor)
