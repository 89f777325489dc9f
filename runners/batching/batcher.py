# SPDX-License-Identifier: Apache-2.0
"""Batching for one loaded model.

Guarantees:

* Work-conserving: an idle instance starts with whatever is queued, so no request waits for company. What arrives while
  all instances are busy becomes the next batches.
* Exact: only requests of one bucket share a batch, and each gets its own rows back.
* Bounded: rows and bytes waiting have limits; beyond them ``QUEUE_001`` at once.
* Cancel-safe: a caller that goes away, or whose deadline passes, leaves the queue uncomputed and gives its room back. An
  execution nobody waits for any more is asked to stop.
* Isolated: when a batch fails it is halved and run again until the failing request is alone; only that one fails.

Everything here runs on the event loop's thread except ``_execute``, which may run in an executor thread and touches only the
batch it was given. Short batches may run on the loop itself (see :mod:`runners.batching.pace`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping

from core.errors import DeadlineExceeded, ErrorCode, Unavailable
from core.telemetry import metrics
from core.telemetry.hot import Bins
from core.tensors import Array, nbytes
from runners.batching.assemble import merge, split
from runners.batching.pace import Pace
from runners.batching.policy import BatchLimits, bucket_key, row_count
from runners.batching.queue import Batch, BatchQueue, Results, Work
from runners.executor import Executor
from runners.interface import Runner


class Batcher:
    """Queues requests for one runner and runs them in batches.

    Args:
        runner: What executes; the batcher does not close it.
        limits: Bounds of the queue.
        instances: Executions in flight at once.
        label: The model, for metrics and messages.
    """

    def __init__(self, runner: Runner, *, limits: BatchLimits, instances: int, label: str) -> None:
        self._runner = runner
        self._signature = runner.signature
        self._batched = self._signature.batched
        self._max_wait_s = limits.max_wait_s
        self._label = label
        self._loop = asyncio.get_running_loop()
        self._queue = BatchQueue(limits, batched=self._batched, label=label)
        self._pace = Pace(limits.inline_below_s)
        self._executor = Executor(work=self._execute, done=self._finish, instances=instances, name=f"runner-{label}")
        self._idle = instances
        self._running: set[Batch] = set()
        self._scheduled = False
        self._crowded = False  # the last batch on the loop had several requests
        self._closed = False  # takes no new requests
        self._ended = False  # starts no more batches
        self._arrivals: OrderedDict[Work, None] = OrderedDict()  # no deadline of their own, oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._queue_seconds = Bins(metrics.QUEUE_SECONDS.labels(label))
        self._batch_seconds = Bins(metrics.BATCH_SECONDS.labels(label))
        self._batch_rows = Bins(metrics.BATCH_ROWS.labels(label))

    @property
    def rows_waiting(self) -> int:
        """Rows queued and not yet started."""
        return self._queue.rows

    @property
    def bytes_waiting(self) -> int:
        """Input bytes queued and not yet started."""
        return self._queue.size

    async def infer(self, inputs: Mapping[str, Array], *, deadline: float | None = None) -> dict[str, Array]:
        """Runs one request, alone or in company.

        Args:
            inputs: Tensors that were checked against the signature.
            deadline: On the event loop's clock; None applies ``limits.max_wait_s``.

        Returns:
            Every output of the model, with the rows of this request.

        Raises:
            InvalidRequest: ``VALID_003`` if the request has more rows than one request may bring.
            Overloaded: ``QUEUE_001`` if the queue is full.
            DeadlineExceeded: ``TIMEOUT_001`` if the deadline passes first.
            Unavailable: ``MODEL_002`` if the model is being unloaded.
            FuroshikiError: What the runner raised on this request; see :meth:`runners.interface.Runner.run`.
        """
        work = self._admit(inputs)
        timer = None
        if deadline is None:
            self._watch(work)
        else:
            timer = self._loop.call_at(deadline, self._expire, work)
        try:
            return await work.future
        except asyncio.CancelledError:
            self._abandon(work)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            else:
                self._arrivals.pop(work, None)

    async def drain(self) -> None:
        """Refuses new requests and returns when the accepted ones have ended."""
        self._closed = True
        while self._running or self._queue:
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Fails what still waits, asks what runs to stop, and ends the threads. May be called twice."""
        self._closed = self._ended = True
        for work in self._queue.clear():
            _fail(work, self._unloading())
        for batch in self._running:
            batch.stop.stop()
        self._changed.set()
        if self._timer is not None and not self._running:
            self._timer.cancel()  # otherwise it frees those whose batch does not stop
        self._executor.close()

    def join(self, timeout: float) -> bool:
        """Waits until the threads have ended. Blocks; call it off the loop, after ``close``.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            False if a thread still runs.
        """
        return self._executor.join(timeout)

    def _admit(self, inputs: Mapping[str, Array]) -> Work:
        if self._closed:
            raise self._unloading()
        rows = row_count(self._signature, inputs) if self._batched else 1
        size = nbytes(inputs)
        self._queue.check(rows, size)
        key = bucket_key(self._signature, inputs) if self._batched else ()
        work = Work(inputs, key, rows, size, self._loop.time(), self._loop.create_future())
        self._queue.add(work)
        self._wake()
        return work

    def _wake(self) -> None:
        if self._idle and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._dispatch)  # after the requests that arrived in this turn of the loop

    def _dispatch(self) -> None:
        if self._crowded and self._pace.inline:
            # The loop is the instance. While requests come together, what it reads in one more turn shares the batch.
            self._crowded = False
            self._loop.call_soon(self._dispatch)
            return
        self._scheduled = False
        while self._idle and (batch := self._queue.next()):
            self._idle -= 1
            self._running.add(batch)
            now = self._loop.time()
            for work in batch.work:
                self._queue_seconds.observe(now - work.arrived)
            if self._pace.inline:
                self._crowded = len(batch.work) > 1
                self._run_here(batch)
                if self._queue:
                    self._wake()  # after what else the loop has to do
                return
            self._executor.submit(batch)

    def _run_here(self, batch: Batch) -> None:
        result: Results | Exception
        try:
            result = self._execute(batch)
        except Exception as error:
            result = error
        self._settle(batch, result)

    def _execute(self, batch: Batch) -> Results:
        begin = time.perf_counter()
        try:
            outputs = self._runner.run(merge([work.inputs for work in batch.work]), batch.stop)
        finally:
            batch.seconds = time.perf_counter() - begin
        return [outputs] if len(batch.work) == 1 else split(outputs, [work.rows for work in batch.work])

    def _finish(self, batch: Batch, result: Results | Exception) -> None:
        self._settle(batch, result)
        self._dispatch()

    def _settle(self, batch: Batch, result: Results | Exception) -> None:
        self._idle += 1
        self._running.discard(batch)
        self._pace.note(batch.seconds)
        if isinstance(result, Exception):
            self._failed(batch, result)
        else:
            self._batch_seconds.observe(batch.seconds)
            self._batch_rows.observe(batch.rows)
            for work, outputs in zip(batch.work, result, strict=True):
                if not work.future.done():
                    work.future.set_result(outputs)
        self._changed.set()

    def _failed(self, batch: Batch, error: Exception) -> None:
        alive = [work for work in batch.work if not work.future.done()]
        if len(batch.work) == 1 or self._ended:
            for work in alive:
                _fail(work, self._unloading() if self._ended else error)
            return
        middle = (len(alive) + 1) // 2
        for half in (alive[:middle], alive[middle:]):
            if half:
                self._queue.again(half)

    def _watch(self, work: Work) -> None:
        """Applies ``max_wait_s``: the same for all, so one timer for the oldest stands for a timer each."""
        self._arrivals[work] = None
        if self._timer is None:
            self._timer = self._loop.call_at(work.arrived + self._max_wait_s, self._expire_oldest)

    def _expire_oldest(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._arrivals:
            oldest = next(iter(self._arrivals))
            due = oldest.arrived + self._max_wait_s
            if due > now:
                self._timer = self._loop.call_at(due, self._expire_oldest)
                return
            del self._arrivals[oldest]
            self._expire(oldest)

    def _expire(self, work: Work) -> None:
        if not work.future.done():
            waited = self._loop.time() - work.arrived
            _fail(work, DeadlineExceeded(ErrorCode.TIMEOUT, f"No result within {waited:.3f} s.", retry_after=1.0))
            self._abandon(work)

    def _abandon(self, work: Work) -> None:
        """Nobody waits for this request any more: it leaves the queue, or its batch may stop."""
        self._queue.discard(work)
        if work.batch is not None and work.batch.abandoned:
            work.batch.stop.stop()
        self._changed.set()

    def _unloading(self) -> Unavailable:
        return Unavailable(ErrorCode.MODEL_NOT_READY, f"{self._label} is being unloaded.", retry_after=1.0)


def _fail(work: Work, error: Exception) -> None:
    if not work.future.done():
        work.future.set_exception(error)
