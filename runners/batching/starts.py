# SPDX-License-Identifier: Apache-2.0
"""What to start next when an instance is idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runners.batching.curve import CostCurve
from runners.batching.endings import Endings
from runners.batching.intake import Intake
from runners.batching.queue import BatchQueue
from runners.batching.sizing import Sizing
from runners.batching.work import Batch


class Starts:
    """Chooses the next batch of one model.

    Args:
        queue: What waits.
        curve: What is known of the model's cost.
        sizing: How much to execute together.
        intake: Knows which deadlines cannot be met any more.
        endings: Ends those requests.
        wake: Called when there may be something to start although nothing else happened.
    """

    def __init__(
        self,
        queue: BatchQueue,
        *,
        curve: CostCurve,
        sizing: Sizing,
        intake: Intake,
        endings: Endings,
        wake: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._curve = curve
        self._sizing = sizing
        self._intake = intake
        self._endings = endings
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._patience: asyncio.TimerHandle | None = None  # while what waits is left to find company
        self._impatient = False  # it waited long enough

    def next(self, *, idle: int, busy: bool) -> Batch | None:
        """Takes the next batch out of the queue.

        Args:
            idle: Instances that are idle, at least one.
            busy: Whether an execution is in flight.

        Returns:
            None if nothing waits, or if it is better to wait for company. That ends when the execution in flight does, or
            ``wake`` is called.
        """
        return self._queue.next_again() or self._fresh(idle, busy)

    def close(self) -> None:
        """``wake`` is not called any more."""
        self._impatient = False
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _fresh(self, idle: int, busy: bool) -> Batch | None:
        queue = self._queue
        while queue.rows:
            room = self._sizing.room(queue.units, idle=idle, busy=busy)
            if not room:
                if not (queue.urgent or self._impatient):
                    self._wait_for_company()
                    return None
                room = self._sizing.target
            now = self._loop.time()
            lane = queue.turn()
            work = lane.head()
            error = self._intake.hopeless(work, now)
            if error is None:
                self.close()
                return queue.take(lane, room, now)
            queue.discard(work)
            self._endings.refuse(work, error)
        return None

    def _wait_for_company(self) -> None:
        """At most as long as an execution takes, should the one in flight never end."""
        if self._patience is None:
            self._patience = self._loop.call_later(self._curve.expected(self._sizing.target), self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        self._impatient = True
        self._wake()
