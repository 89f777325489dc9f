# SPDX-License-Identifier: Apache-2.0
"""Batching for one loaded model.

Guarantees:

* Work-conserving: an idle model starts with whatever is queued, so no request waits for company then. What arrives while it
  is busy becomes the next batches, of the size that was learned to be worth it (:mod:`runners.batching.sizing`).
* Exact: only requests of one bucket share a batch, and each gets its own rows back.
* Fair and bounded: see :mod:`runners.batching.queue`; beyond the bounds ``QUEUE_001`` at once.
* Punctual: company never makes a batch miss the earliest deadline in it, and a request whose deadline cannot be met gets
  ``TIMEOUT_001`` as soon as that is known, at the latest when it passes. Before that only on the strength of many
  measurements, and on the assumption that all goes well.
* Cancel-safe: a caller that goes away, or whose deadline passes, leaves the queue uncomputed and gives its room back. An
  execution nobody waits for any more is asked to stop.
* Isolated: when a batch fails it is halved and run again until the failing request is alone; only that one fails. A batch
  whose process ended fails as a whole: whichever request ended it would end the next process too.

Everything here runs on the event loop's thread except ``_execute``, which may run in an executor thread and touches only the
batch it was given. Short batches may run on the loop itself (see :mod:`runners.batching.pace`). A model in another process
is given whole batches (see :mod:`runners.batching.elsewhere`).
"""

from __future__ import annotations

import asyncio
import time

from core.errors import ErrorCode, Unavailable
from core.inference import InferenceRequest
from core.tensors import Array
from runners.batching.assemble import Assembler
from runners.batching.cores import Cores
from runners.batching.counts import Counts
from runners.batching.curve import CostCurve
from runners.batching.deadlines import Deadlines
from runners.batching.elsewhere import Elsewhere, Execution, Remote
from runners.batching.endings import Endings
from runners.batching.intake import Intake
from runners.batching.options import BatchOptions
from runners.batching.pace import Pace
from runners.batching.policy import BatchLimits
from runners.batching.queue import BatchQueue
from runners.batching.shapes import counts_rows
from runners.batching.sizing import Sizing
from runners.batching.starts import Starts
from runners.batching.waiting import wait_for
from runners.batching.work import Batch, Done, Results, Work
from runners.executor import Executor
from runners.interface import Runner
from runners.statistics import ModelStatistics


class Batcher:
    """Queues requests for one runner and runs them in batches.

    Args:
        runner: What executes, here or in another process; the batcher does not close it.
        limits: Bounds of the queue.
        instances: Executions in flight at once.
        label: The model, for metrics and messages.
        options: What the model declares about its batches.
        curve: What is known of the model's cost; None: nothing yet.
        cores: Shared with the other models of the device; None: the device is this model's alone.
        owner: The tenant whose model it is, for ``cores``.
    """

    def __init__(
        self,
        runner: Runner | Remote,
        *,
        limits: BatchLimits,
        instances: int,
        label: str,
        options: BatchOptions | None = None,
        curve: CostCurve | None = None,
        cores: Cores | None = None,
        owner: str = "",
    ) -> None:
        options = BatchOptions() if options is None else options
        self.signature = options.served(runner.signature)
        most_rows = min(limits.max_rows, options.most or limits.max_rows) if self.signature.batched else 1
        self._label = label
        self._owner = owner
        self._cores = cores
        self._loop = asyncio.get_running_loop()
        self._curve = curve = CostCurve() if curve is None else curve
        rows_count = counts_rows(self.signature, options)
        sizing = Sizing(curve, instances=instances, most=most_rows if rows_count else None)
        self._queue = queue = BatchQueue(limits, most_rows=most_rows, seconds=curve.expected, label=label)
        self._intake = intake = Intake(
            self.signature, options, limits, queue=queue, curve=curve, sizing=sizing, label=label
        )
        self._assembler = Assembler(options)
        self._executor: Execution
        if isinstance(runner, Remote):
            self._pace = Pace(0.0)
            self._executor = Elsewhere(runner, self._assembler, tenant=owner, done=self._finish)
            runner.when_ready(self._wake)
        else:
            self._runner = runner
            self._pace = Pace(limits.inline_below_s)
            name = f"runner-{label}"
            self._executor = Executor(work=self._execute, done=self._finish, instances=instances, name=name)
        self._idle = instances
        self._running: set[Batch] = set()
        self._changed = asyncio.Event()
        self._counts = Counts(label, rows_waiting=lambda: queue.rows, running=self._running.__len__)
        self._endings = Endings(
            queue, self._counts, label=label, retry_after=intake.retry_after, changed=self._changed.set
        )
        self._deadlines = Deadlines(queue, self._running, max_wait_s=limits.max_wait_s, expire=self._endings.expire)
        self._starts = Starts(queue, curve=curve, sizing=sizing, intake=intake, endings=self._endings, wake=self._wake)
        self._scheduled = False
        self._crowded = False  # the last batch on the loop had several requests
        self._closed = False  # takes no new requests
        self._ended = False  # starts no more batches

    @property
    def closed(self) -> bool:
        """Whether new requests are refused."""
        return self._closed

    @property
    def rows_waiting(self) -> int:
        """Rows queued and not yet started."""
        return self._queue.rows

    @property
    def bytes_waiting(self) -> int:
        """Input bytes queued and not yet started."""
        return self._queue.size

    @property
    def statistics(self) -> ModelStatistics:
        """What was counted so far."""
        return self._counts.statistics

    def submit(self, request: InferenceRequest, done: Done) -> Work:
        """Queues one request.

        Args:
            request: Its tensors were checked against the signature. A deadline of None applies ``limits.max_wait_s``.
            done: Called once on the loop, later than this returns: with every output of the model, with the rows of this
                request, or with the error; see :meth:`infer`. Not called after ``cancel``.

        Returns:
            The queued request; its ``cancel`` gives it up.

        Raises:
            FuroshikiError: What :meth:`runners.batching.intake.Intake.check` refuses.
            Unavailable: ``MODEL_002`` if the model is being unloaded.
        """
        if self._closed:
            raise self._endings.unloading()
        now = self._loop.time()
        measured = self._intake.measure(request.inputs)
        try:
            self._intake.check(request, measured, now)
        except Exception:
            self._counts.refused()
            raise
        key, rows, size, units, length = measured
        work = Work(request, key, rows, size, units, length, now, done, self._endings.give_up)
        self._queue.add(work)
        self._deadlines.watch(work)
        self._wake()
        return work

    async def infer(self, request: InferenceRequest) -> dict[str, Array]:
        """Runs one request, alone or in company.

        Raises:
            DeadlineExceeded: ``TIMEOUT_001`` if the deadline passes first.
            FuroshikiError: What the runner raised on this request, see :meth:`runners.interface.Runner.run`, and what
                :meth:`submit` raises.
        """
        return await wait_for(self.submit, request)

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
            self._endings.unload(work)
        for batch in self._running:
            batch.stop.stop()
        if not self._running:
            self._deadlines.close()  # otherwise they free those whose batch does not stop
        if self._cores is not None:
            self._cores.forget(self._wake)
        self._starts.close()
        self._counts.close()
        self._changed.set()
        self._executor.close()

    def join(self, timeout: float) -> bool:
        """Waits until the threads have ended. Blocks; call it off the loop, after ``close``.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            False if a thread still runs.
        """
        return self._executor.join(timeout)

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
        ready = self._executor.ready
        while ready and self._idle and self._queue and (batch := self._next()) is not None:
            self._idle -= 1
            self._running.add(batch)
            self._counts.started(batch, self._loop.time())
            batch.began = time.perf_counter()
            if self._pace.inline:
                self._crowded = len(batch.work) > 1
                self._run_here(batch)
                if self._queue:
                    self._wake()  # after what else the loop has to do
                return
            self._executor.submit(batch)
        if self._cores is not None and not (ready and self._queue):
            self._cores.forget(self._wake)

    def _next(self) -> Batch | None:
        if self._cores is not None and not self._cores.start(self._owner, self._wake):
            return None
        idle = 1 if self._pace.inline else self._idle  # the loop is one instance
        batch = self._starts.next(idle=idle, busy=bool(self._running))
        if batch is None:
            self._changed.set()
            if self._cores is not None:
                self._cores.end(self._owner)
        return batch

    def _run_here(self, batch: Batch) -> None:
        outcome: Results | Exception
        try:
            outcome = self._execute(batch, stoppable=False)  # nobody else runs who could stop it
        except Exception as error:
            outcome = error
        self._settle(batch, outcome)
        if not isinstance(outcome, Exception):
            self._endings.answer(batch, outcome)

    def _execute(self, batch: Batch, stoppable: bool = True) -> Results:
        work = batch.work
        lengths = [one.length for one in work]
        begin = time.perf_counter()
        try:
            merged = self._assembler.merge([one.request.inputs for one in work], lengths)
            outputs = self._runner.run(merged, batch.stop if stoppable else None)
        finally:
            batch.seconds = time.perf_counter() - begin
        return self._assembler.split(outputs, [one.rows for one in work], lengths)

    def _finish(self, batch: Batch, outcome: Results | Exception) -> None:
        self._settle(batch, outcome)
        self._dispatch()  # before the answers are encoded: the instance need not wait for that
        if not isinstance(outcome, Exception):
            self._endings.answer(batch, outcome)

    def _settle(self, batch: Batch, outcome: Results | Exception) -> None:
        """An execution ended: its instance is idle again."""
        self._idle += 1
        self._running.discard(batch)
        if self._cores is not None:
            self._cores.end(self._owner)
        self._pace.note(batch.seconds)
        if isinstance(outcome, Exception):
            self._failed(batch, outcome)
        else:
            # With the way to the thread and back: what an execution costs beside its units is what company shares.
            seconds = max(batch.seconds, time.perf_counter() - batch.began)
            self._curve.note(batch.units, seconds)
            if batch.length:
                self._queue.lengths.note(batch.rows, batch.length, seconds)
            self._counts.executed(batch)
        self._changed.set()

    def _failed(self, batch: Batch, error: Exception) -> None:
        alive = [work for work in batch.work if not work.ended]
        lost = isinstance(error, Unavailable) and error.code is ErrorCode.MODEL_NOT_READY
        if len(batch.work) == 1 or self._ended or lost:
            for work in alive:
                self._endings.refuse(work, self._endings.unloading() if self._ended else error)
            if batch.origin_units > batch.units:
                self._queue.accounts.charge_failure(batch.work[0].request.tenant, batch.origin_units)
            return
        middle = (len(alive) + 1) // 2
        for half in (alive[:middle], alive[middle:]):
            if half:
                self._queue.again(half, batch.origin_units)
