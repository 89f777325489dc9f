# SPDX-License-Identifier: Apache-2.0
"""How requests end: each exactly once, with a result, an error, at its deadline, or because its caller went away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from core.errors import DeadlineExceeded, ErrorCode, Unavailable
from runners.batching.counts import Counts
from runners.batching.queue import BatchQueue
from runners.batching.work import Batch, Outcome, Results, Work


class Endings:
    """Ends the requests of one model.

    Args:
        queue: Where they wait.
        counts: Counts them.
        label: The model, for messages.
        retry_after: Seconds after which a retry is sensible.
        changed: Called after a request left the queue or its batch.
    """

    def __init__(
        self,
        queue: BatchQueue,
        counts: Counts,
        *,
        label: str,
        retry_after: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._counts = counts
        self._label = label
        self._retry_after = retry_after
        self._changed = changed
        self._loop = asyncio.get_running_loop()

    def answer(self, batch: Batch, results: Results) -> None:
        """Hands the requests of a batch their results."""
        now = self._loop.time()
        answered = 0
        seconds = 0.0
        for work, outputs in zip(batch.work, results, strict=True):
            if not work.ended:
                answered += 1
                seconds += now - work.arrived
                self._tell(work, outputs)
        self._counts.answered(answered, seconds)

    def refuse(self, work: Work, error: Exception) -> None:
        """Hands a request that has not ended an error."""
        self._counts.failed(work, self._loop.time())
        self._tell(work, error)

    def unload(self, work: Work) -> None:
        """Ends a request because the model is being unloaded."""
        self.refuse(work, self.unloading())

    def unloading(self) -> Unavailable:
        """The error of a model that takes no more requests."""
        return Unavailable(ErrorCode.MODEL_NOT_READY, f"{self._label} is being unloaded.", retry_after=1.0)

    def expire(self, work: Work) -> None:
        """The time of a request is over, wherever it is."""
        if not work.ended:
            waited = self._loop.time() - work.arrived
            message = f"No result within {waited:.3f} s."
            self.refuse(work, DeadlineExceeded(ErrorCode.TIMEOUT, message, retry_after=self._retry_after()))
            self._leave(work)

    def give_up(self, work: Work) -> None:
        """The caller of a request went away; it is told nothing."""
        self._counts.given_up(work, self._loop.time())
        if work.timer is not None:
            work.timer.cancel()
        self._leave(work)

    def _leave(self, work: Work) -> None:
        if work.batch is None:
            self._queue.discard(work)
        else:
            work.batch.leave()
        self._changed()

    def _tell(self, work: Work, outcome: Outcome) -> None:
        """Whatever the caller does with the outcome hurts no other request."""
        work.ended = True
        if work.timer is not None:
            work.timer.cancel()
        try:
            work.done(outcome)
        except Exception as error:
            self._loop.call_exception_handler({"message": f"A caller of {self._label} failed.", "exception": error})
