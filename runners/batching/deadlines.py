# SPDX-License-Identifier: Apache-2.0
"""Ends requests whose time is over, wherever they are: waiting, running, or about to run again.

A request with a deadline of its own has a timer of its own. All others may take the same time from their arrival, so one
timer for the oldest stands for all of them, and an answered request costs nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import chain

from runners.batching.queue import BatchQueue
from runners.batching.work import Batch, Work


class Deadlines:
    """Watches the requests of one model.

    Args:
        queue: Where they wait.
        running: Where they run.
        max_wait_s: Seconds for a request without a deadline of its own.
        expire: Told of each request whose time is over.
    """

    def __init__(
        self, queue: BatchQueue, running: Iterable[Batch], *, max_wait_s: float, expire: Callable[[Work], None]
    ) -> None:
        self._queue = queue
        self._running = running
        self._max_wait_s = max_wait_s
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, work: Work) -> None:
        """Begins to watch a request that was just queued."""
        deadline = work.request.deadline
        if deadline is not None:
            work.timer = self._loop.call_at(deadline, self._expire, work)
        elif self._timer is None:
            self._timer = self._loop.call_at(work.arrived + self._max_wait_s, self._sweep)

    def close(self) -> None:
        """Stops watching requests without a deadline of their own."""
        if self._timer is not None:
            self._timer.cancel()

    def _sweep(self) -> None:
        self._timer = None
        overdue, oldest = self._look(self._loop.time())
        for work in overdue:
            self._expire(work)
        if oldest is not None and self._timer is None:
            self._timer = self._loop.call_at(oldest + self._max_wait_s, self._sweep)

    def _look(self, now: float) -> tuple[list[Work], float | None]:
        """The requests whose time is over, and when the oldest of the others arrived."""
        overdue: list[Work] = []
        rest: list[float] = []
        for batch in chain(self._running, self._queue.parts):
            for work in filter(_shares_the_timer, batch.work):
                if work.arrived + self._max_wait_s <= now:
                    overdue.append(work)
                else:
                    rest.append(work.arrived)
        for lane in self._queue:
            for work in filter(_shares_the_timer, lane):  # in order of arrival
                if work.arrived + self._max_wait_s > now:
                    rest.append(work.arrived)
                    break
                overdue.append(work)
        return overdue, min(rest, default=None)


def _shares_the_timer(work: Work) -> bool:
    return work.timer is None and not work.ended
