# SPDX-License-Identifier: Apache-2.0
"""Shared memory of one direction: what fits, whose a block is, and what a hostile end cannot do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from runners.remote.blocks import BlockReader, BlockWriter
from runners.remote.framing import ProtocolError

SIZE = 1 << 16
HALF = SIZE // 2


@pytest.fixture
def ends() -> Iterator[tuple[BlockWriter, BlockReader]]:
    writer = BlockWriter(SIZE)
    reader = BlockReader(writer.fd)
    yield writer, reader
    for _ in range(2):
        writer.close()
        reader.close()


def test_the_other_end_reads_what_was_placed(ends: tuple[BlockWriter, BlockReader]) -> None:
    """Parts are one block at the other end, aligned, and cannot be written there."""
    writer, reader = ends
    assert writer.place([b"x" * 8], 8) == 0
    offset = writer.place([b"12345678", memoryview(b"abcdefgh")], 16)
    assert offset == 64
    block = reader.take(offset, 16)
    assert bytes(block) == b"12345678abcdefgh"
    assert block.readonly


def test_a_block_is_held_while_anything_refers_to_it(ends: tuple[BlockWriter, BlockReader]) -> None:
    """Arrays made of a block, and views of those, keep it; with the last of them it is reported, once."""
    writer, reader = ends
    offset = writer.place([bytes(800)], 800)
    assert offset == 0
    rows = np.ndarray((10, 10), np.float64, reader.take(offset, 800))
    some = rows[2:4].reshape(-1)
    del rows
    assert reader.dropped() == []
    del some
    assert reader.dropped() == [0]
    assert reader.dropped() == []


def test_another_thread_may_be_the_last(ends: tuple[BlockWriter, BlockReader]) -> None:
    """An execution in a thread that outlives its request still gives its block back."""
    writer, reader = ends
    writer.place([bytes(64)], 64)
    held = [reader.take(0, 64)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert reader.dropped() == [0]


def test_full_means_none_until_a_block_is_freed(ends: tuple[BlockWriter, BlockReader]) -> None:
    """Without room nothing is placed; any block that is freed is room again, in whatever order."""
    writer, _ = ends
    assert [writer.place([bytes(HALF)], HALF) for _ in range(3)] == [0, HALF, None]
    writer.freed(HALF)
    assert writer.place([bytes(HALF)], HALF) == HALF
    writer.freed(0)
    assert writer.place([bytes(8)], 8) == 0


def test_neighbours_become_one_gap(ends: tuple[BlockWriter, BlockReader]) -> None:
    """However blocks are freed, all of the memory is one block again."""
    writer, _ = ends
    quarter = SIZE // 4
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)):
        offsets = [writer.place([bytes(quarter)], quarter) for _ in range(4)]
        for index in order:
            offset = offsets[index]
            assert offset is not None
            writer.freed(offset)
        assert writer.place([bytes(SIZE)], SIZE) == 0
        writer.freed(0)


def test_more_than_the_memory_is_never_placed(ends: tuple[BlockWriter, BlockReader]) -> None:
    """A block larger than the memory is refused even when it is empty."""
    assert ends[0].place([bytes(SIZE + 8)], SIZE + 8) is None


@pytest.mark.parametrize("offset", [0, 8, 128])
def test_only_a_block_can_be_freed(ends: tuple[BlockWriter, BlockReader], offset: int) -> None:
    """An end that gives back what it was not given, or the same twice, breaks the rules."""
    writer, _ = ends
    writer.place([bytes(64)], 64)
    writer.freed(0)
    with pytest.raises(ProtocolError):
        writer.freed(offset)


@pytest.mark.parametrize(("offset", "size"), [(0, SIZE + 1), (SIZE, 1), (-8, 8), (8, -8), (8, 0)])
def test_a_block_outside_is_refused(ends: tuple[BlockWriter, BlockReader], offset: int, size: int) -> None:
    """Only what lies inside the memory is read."""
    with pytest.raises(ProtocolError):
        ends[1].take(offset, size)


def test_a_block_in_use_is_refused(ends: tuple[BlockWriter, BlockReader]) -> None:
    """A sender that names a block again before it was given back breaks the rules."""
    _, reader = ends
    kept = reader.take(64, 8)
    with pytest.raises(ProtocolError):
        reader.take(64, 8)
    assert len(kept) == 8


def test_closing_waits_for_who_still_reads(ends: tuple[BlockWriter, BlockReader]) -> None:
    """A block that is still being computed on stays readable after the connection has ended."""
    writer, reader = ends
    writer.place([b"x" * 64], 64)
    block = reader.take(0, 64)
    reader.close()
    writer.close()
    assert bytes(block) == b"x" * 64


def test_the_memory_cannot_shrink() -> None:
    """The file is sealed, so that no reader can be made to touch a page that is gone."""
    writer = BlockWriter(SIZE)
    with pytest.raises(PermissionError):
        os.ftruncate(writer.fd, 0)
    writer.close()


@pytest.mark.parametrize("make", [lambda: os.memfd_create("bare"), lambda: os.open("/dev/null", os.O_RDWR)])
def test_other_descriptors_are_refused(make: Callable[[], int]) -> None:
    """Memory without the seals, or no memory at all, is not read from."""
    fd = make()
    with pytest.raises(ProtocolError):
        BlockReader(fd)
    os.close(fd)
