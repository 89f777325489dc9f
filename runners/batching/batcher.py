# SPDX-License-Identifier: Apache-2.0
"""The queue of one loaded model.

Guarantees:

* Work-conserving: an idle instance starts with whatever is queued, so no request waits for company. What arrives while
  all instances are busy becomes the next batches.
* Exact: only requests of one bucket share a batch, and each gets its own rows back.
* Bounded: rows and bytes waiting have limits; beyond them ``QUEUE_001`` at once.
* Cancel-safe: a caller that goes away, or whose deadline passes, leaves the queue uncomputed and gives its room back.
* Isolated: when a batch fails it is halved and run again until the failing request is alone; only that one fails.

Everything here runs on the event loop's thread except ``_execute``, which runs in an executor thread and touches only
the batch it was given. A model whose batches were all much shorter than a hand-over to a thread and back is executed on the
loop itself (see :class:`_Pace`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import DeadlineExceeded, ErrorCode, InvalidRequest, Overloaded, Unavailable
from core.telemetry import metrics
from core.telemetry.hot import Bins
from core.tensors import Array, nbytes
from runners.batching.assemble import merge, split
from runners.batching.policy import BatchLimits, BucketKey, bucket_key, row_count
from runners.executor import Executor
from runners.interface import Runner

Results = list[dict[str, Array]]


@dataclass(slots=True, eq=False)
class _Work:
    inputs: Mapping[str, Array]
    key: BucketKey
    rows: int
    size: int
    arrived: float
    future: asyncio.Future[dict[str, Array]]
    started: bool = False


@dataclass(slots=True, eq=False)
class _Batch:
    work: Sequence[_Work]
    rows: int
    seconds: float = field(default=0.0)


class _Pace:
    """Decides whether the next batch may run on the event loop.

    It may once ``_SAMPLES`` batches in a row took less than ``limit`` seconds each. One that takes longer sends the model
    back to its threads until as many short ones have been seen again, so a model can block the loop for one batch at most.
    """

    __slots__ = ("_limit", "_short")

    _SAMPLES = 16

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._short = 0

    @property
    def inline(self) -> bool:
        return self._short >= self._SAMPLES

    def note(self, seconds: float) -> None:
        self._short = self._short + 1 if seconds < self._limit else 0


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
        self._limits = limits
        self._label = label
        self._loop = asyncio.get_running_loop()
        self._buckets: OrderedDict[BucketKey, deque[_Work]] = OrderedDict()
        self._again: deque[_Batch] = deque()
        self._rows = 0
        self._bytes = 0
        self._idle = instances
        self._in_flight = 0
        self._scheduled = False
        self._closed = False  # takes no new requests
        self._ended = False  # starts no more batches
        self._pace = _Pace(limits.inline_below_s)
        self._arrivals: OrderedDict[_Work, None] = OrderedDict()  # no deadline of their own, oldest first
        self._timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._executor = Executor(work=self._execute, done=self._finish, instances=instances, name=f"runner-{label}")
        self._queue_seconds = Bins(metrics.QUEUE_SECONDS.labels(label))
        self._batch_seconds = Bins(metrics.BATCH_SECONDS.labels(label))
        self._batch_rows = Bins(metrics.BATCH_ROWS.labels(label))

    @property
    def rows_waiting(self) -> int:
        """Rows queued and not yet started."""
        return self._rows

    @property
    def bytes_waiting(self) -> int:
        """Input bytes queued and not yet started."""
        return self._bytes

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
            OperatorError: ``INFER_001`` if the runtime fails on this request.
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
            self._discard(work)
            raise
        finally:
            if timer is not None:
                timer.cancel()
            else:
                self._arrivals.pop(work, None)

    async def drain(self) -> None:
        """Refuses new requests and returns when the accepted ones have ended."""
        self._closed = True
        while self._in_flight or self._rows or self._again:
            self._drained.clear()
            await self._drained.wait()

    def close(self) -> None:
        """Fails what still waits and ends the threads. May be called twice."""
        self._closed = self._ended = True
        for waiting in (*self._buckets.values(), *(batch.work for batch in self._again)):
            for work in waiting:
                _fail(work, self._unloading())
        self._buckets.clear()
        self._again.clear()
        self._rows = self._bytes = 0
        self._drained.set()
        if self._timer is not None and not self._in_flight:
            self._timer.cancel()  # otherwise it frees those whose batch hangs
        self._executor.close()

    def join(self) -> None:
        """Waits until the threads have ended. Blocks; call it off the loop, after ``close``."""
        self._executor.join()

    def _admit(self, inputs: Mapping[str, Array]) -> _Work:
        if self._closed:
            raise self._unloading()
        rows = row_count(self._signature, inputs) if self._batched else 1
        size = nbytes(inputs)
        limits = self._limits
        if rows > limits.max_request_rows:
            raise InvalidRequest(
                ErrorCode.TOO_LARGE, f"The request has {rows} rows; the limit is {limits.max_request_rows}."
            )
        if self._rows + rows > limits.max_queue_rows or self._bytes + size > limits.max_queue_bytes:
            raise Overloaded(
                ErrorCode.QUEUE_FULL, f"The queue of {self._label} is full ({self._rows} rows wait).", retry_after=1.0
            )
        key = bucket_key(self._signature, inputs) if self._batched else ()
        work = _Work(inputs, key, rows, size, self._loop.time(), self._loop.create_future())
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = deque()
        bucket.append(work)
        self._rows += rows
        self._bytes += size
        self._wake()
        return work

    def _wake(self) -> None:
        if self._idle and not self._scheduled and (self._buckets or self._again):
            self._scheduled = True
            self._loop.call_soon(self._dispatch)  # after the requests that arrived in this turn of the loop

    def _dispatch(self) -> None:
        self._scheduled = False
        while self._idle and (batch := self._again.popleft() if self._again else self._next_batch()):
            self._idle -= 1
            self._in_flight += 1
            if self._pace.inline:
                self._run_here(batch)
                self._wake()
                return
            self._executor.submit(batch)

    def _run_here(self, batch: _Batch) -> None:
        result: Results | Exception
        try:
            result = self._execute(batch)
        except Exception as error:
            result = error
        self._settle(batch, result)

    def _next_batch(self) -> _Batch | None:
        if not self._buckets:
            return None
        key, bucket = next(iter(self._buckets.items()))
        most = self._limits.max_rows if self._batched else 1
        chosen: list[_Work] = []
        rows = 0
        now = self._loop.time()
        while bucket and (not chosen or rows + bucket[0].rows <= most):
            work = bucket.popleft()
            work.started = True
            rows += work.rows
            self._bytes -= work.size
            self._queue_seconds.observe(now - work.arrived)
            chosen.append(work)
        self._rows -= rows
        if bucket:
            self._buckets.move_to_end(key)  # other shapes take their turn
        else:
            del self._buckets[key]
        return _Batch(chosen, rows)

    def _execute(self, batch: _Batch) -> Results:
        begin = time.perf_counter()
        try:
            outputs = self._runner.run(merge([work.inputs for work in batch.work]))
        finally:
            batch.seconds = time.perf_counter() - begin
        return [outputs] if len(batch.work) == 1 else split(outputs, [work.rows for work in batch.work])

    def _finish(self, batch: _Batch, result: Results | Exception) -> None:
        self._settle(batch, result)
        self._dispatch()

    def _settle(self, batch: _Batch, result: Results | Exception) -> None:
        self._idle += 1
        self._in_flight -= 1
        self._pace.note(batch.seconds)
        if isinstance(result, Exception):
            self._failed(batch, result)
        else:
            self._batch_seconds.observe(batch.seconds)
            self._batch_rows.observe(batch.rows)
            for work, outputs in zip(batch.work, result, strict=True):
                if not work.future.done():
                    work.future.set_result(outputs)
        self._drained.set()

    def _failed(self, batch: _Batch, error: Exception) -> None:
        alive = [work for work in batch.work if not work.future.done()]
        if len(batch.work) == 1 or self._ended:
            for work in alive:
                _fail(work, error if len(batch.work) == 1 else self._unloading())
            return
        middle = (len(alive) + 1) // 2
        for half in (alive[:middle], alive[middle:]):
            if half:
                self._again.append(_Batch(half, sum(work.rows for work in half)))

    def _watch(self, work: _Work) -> None:
        """Applies ``max_wait_s``: the same for all, so one timer for the oldest stands for a timer each."""
        self._arrivals[work] = None
        if self._timer is None:
            self._timer = self._loop.call_at(work.arrived + self._limits.max_wait_s, self._expire_oldest)

    def _expire_oldest(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._arrivals:
            oldest = next(iter(self._arrivals))
            due = oldest.arrived + self._limits.max_wait_s
            if due > now:
                self._timer = self._loop.call_at(due, self._expire_oldest)
                return
            del self._arrivals[oldest]
            self._expire(oldest)

    def _expire(self, work: _Work) -> None:
        if work.future.done():
            return
        waited = self._loop.time() - work.arrived
        self._discard(work)
        _fail(work, DeadlineExceeded(ErrorCode.TIMEOUT, f"No result within {waited:.3f} s.", retry_after=1.0))

    def _unloading(self) -> Unavailable:
        return Unavailable(ErrorCode.MODEL_NOT_READY, f"{self._label} is being unloaded.", retry_after=1.0)

    def _discard(self, work: _Work) -> None:
        """Gives back the room of a request that has not started."""
        bucket = self._buckets.get(work.key)
        if work.started or bucket is None or work not in bucket:
            return
        bucket.remove(work)
        if not bucket:
            del self._buckets[work.key]
        self._rows -= work.rows
        self._bytes -= work.size
        self._drained.set()


def _fail(work: _Work, error: Exception) -> None:
    if not work.future.done():
        work.future.set_exception(error)
