# SPDX-License-Identifier: Apache-2.0
"""The law of shared memory: a block says what was placed in it for as long as anything refers to it."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runners.remote.blocks import BlockReader, BlockWriter

SIZE = 4096


class Blocks(RuleBasedStateMachine):
    """Blocks are placed, read, dropped and given back in any order a connection allows."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = BlockWriter(SIZE)
        self.reader = BlockReader(self.writer.fd)
        self.sent: deque[tuple[int, bytes]] = deque()  # messages on their way
        self.kept: list[tuple[memoryview, bytes]] = []  # what the receiver works on, and what it must say
        self.reports: deque[int] = deque()  # on their way back
        self.stamp = 0

    def teardown(self) -> None:
        self.kept.clear()
        self.writer.close()
        self.reader.close()

    @rule(size=st.one_of(st.integers(1, 64), st.integers(1, 200), st.just(SIZE // 8)).map(lambda count: 8 * count))
    def place(self, size: int) -> None:
        self.stamp = (self.stamp + 1) % 251
        data = bytes([self.stamp]) * size
        offset = self.writer.place([data[: size // 2], data[size // 2 :]], size)
        if offset is None:
            assert self.sent or self.kept or self.reports or self.reader._dropped, "an unused memory has room"
            return
        assert 0 <= offset <= SIZE - size
        self.sent.append((offset, data))

    @rule()
    def read(self) -> None:
        if self.sent:
            offset, data = self.sent.popleft()
            self.kept.append((self.reader.take(offset, len(data)), data))

    @rule(which=st.integers(0, 100))
    def drop(self, which: int) -> None:
        if self.kept:
            del self.kept[which % len(self.kept)]

    @rule()
    def report(self) -> None:
        self.reports.extend(self.reader.dropped())

    @rule()
    def take_back(self) -> None:
        while self.reports:
            self.writer.freed(self.reports.popleft())

    @invariant()
    def nothing_in_use_was_overwritten(self) -> None:
        for offset, data in self.sent:
            assert bytes(self.writer._memory[offset : offset + len(data)]) == data
        for block, data in self.kept:
            assert bytes(block) == data

    @invariant()
    def gaps_and_blocks_are_the_memory(self) -> None:
        parts = sorted([*self.writer._gaps, *self.writer._blocks.items()])
        assert [0, *(end for _, end in parts)] == [*(start for start, _ in parts), SIZE]


TestBlocks = Blocks.TestCase
TestBlocks.settings = settings(max_examples=60, stateful_step_count=60)
