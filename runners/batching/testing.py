# SPDX-License-Identifier: Apache-2.0
"""Batching in virtual time, for tests: a loop whose clock jumps, and an executor whose batches take what they are said to.

Hours of traffic run in seconds, and every run is the same.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

from runners.batching.batcher import Batcher
from runners.batching.curve import WINDOW, CostCurve
from runners.batching.lengths import LengthCosts
from runners.batching.work import Batch, Results


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything is ready, and jumps to the next timer when nothing is."""

    now = 1000.0

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.now


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self._loop.now += timeout
        return super().select(0)


class VirtualExecutor:
    """Stands for the threads of a batcher; a batch is computed at once and its result is there after its cost.

    Args:
        batcher: Whose batches it executes; its own threads are ended.
        cost: Seconds of a batch.
        started: Told of each batch.
    """

    ready = True

    def __init__(
        self, batcher: Batcher, cost: Callable[[Batch], float], started: Callable[[Batch], None] | None = None
    ) -> None:
        self._batcher = batcher
        self._cost = cost
        self._started = started
        self._loop = asyncio.get_running_loop()
        self.running = 0
        batcher._executor = self

    def submit(self, batch: Batch) -> None:
        self.running += 1
        if self._started is not None:
            self._started(batch)
        outcome: Results | Exception
        try:
            outcome = self._batcher._execute(batch)
        except Exception as error:
            outcome = error
        batch.seconds = self._cost(batch)
        self._loop.call_later(batch.seconds, self._done, batch, outcome)

    def close(self) -> None:
        """Nothing to end."""

    def join(self, _timeout: float) -> bool:
        """Nothing to wait for."""
        return True

    def _done(self, batch: Batch, outcome: Results | Exception) -> None:
        self.running -= 1
        self._batcher._finish(batch, outcome)


def teach(costs: LengthCosts, seconds: Callable[[int], float]) -> None:
    """Lets 1, 2, 4, … 32 rows of lengths up to 128 be known to take so long by their padded units."""
    for length in (2, 4, 8, 16, 32, 64, 128):
        for rows in (1, 2, 4, 8, 16, 32):
            for _ in range(WINDOW):
                costs.note(rows, length, seconds(rows * length))


def known_cost(seconds: Callable[[int], float], *, most: int = 64, times: int = WINDOW) -> CostCurve:
    """A learned curve: executions of 1, 2, 4, … ``most`` units, each measured ``times`` times."""
    curve = CostCurve()
    size = 1
    while size <= most:
        for _ in range(times):
            curve.note(size, seconds(size))
        size *= 2
    return curve
