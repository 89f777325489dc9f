# SPDX-License-Identifier: Apache-2.0
"""Executions in the process of a model: each request is a whole batch already, and runs as it is.

Nothing waits for company here and nothing is counted: the queue, its limits, deadlines, fairness and statistics are the
service's, which sends at most as many batches at once as there are instances.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec

from core.errors import ErrorCode, Unavailable
from core.inference import InferenceRequest
from core.tensors import Array
from runners.batching.pace import Pace
from runners.batching.waiting import wait_for
from runners.batching.work import Done
from runners.executor import Executor
from runners.interface import Runner, RunnerOptions, StopSignal
from runners.statistics import ModelStatistics

_STOP_S: Final = 5.0  # how long an execution that was asked to stop may take


class Execution(msgspec.Struct, eq=False):
    """One batch; the ticket of who waits for it."""

    request: InferenceRequest
    done: Done
    stop: StopSignal
    seconds: float = 0.0  # the runner took

    def cancel(self) -> None:
        """Nobody waits any more: it ends as soon as the runtime can. May be called twice, and after the end."""
        self.stop.stop()


class DirectHandle:
    """A runner whose requests are executed as they come.

    Args:
        runner: Closed with the handle.
        options: Threads and instances it was loaded with.
        inline_below_s: Executions shorter than so many seconds run on the event loop; see :mod:`runners.batching.pace`.
        label: The model, for the names of threads.
    """

    def __init__(self, runner: Runner, *, options: RunnerOptions, inline_below_s: float, label: str) -> None:
        self.runner = runner.name
        self.signature = runner.signature
        self.ready = True
        self._runner = runner
        self._pace = Pace(inline_below_s)
        self._executor = Executor(
            work=self._work, done=self._finish, instances=options.instances, name=f"runner-{label}"
        )
        self._running: set[Execution] = set()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def submit(self, request: InferenceRequest, done: Done) -> Execution:
        """Starts one execution; ``done`` is called later than this returns, unless it was cancelled."""
        execution = Execution(request, done, StopSignal())
        self._running.add(execution)
        if self._pace.inline:
            self._loop.call_soon(self._run_here, execution)
        else:
            self._executor.submit(execution)
        return execution

    async def infer(self, request: InferenceRequest) -> dict[str, Array]:
        """Runs one request and waits for it."""
        return await wait_for(self.submit, request)

    def statistics(self) -> ModelStatistics:
        """Nothing: the service counts."""
        return ModelStatistics()

    async def drain(self) -> None:
        """Returns when the executions under way have ended."""
        while self._running:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Stops what runs and frees the model's memory. May be called twice."""
        self.ready = False
        for execution in self._running:
            execution.cancel()
        self._executor.close()
        await asyncio.to_thread(self._executor.join, _STOP_S)
        self._runner.close()

    def _run_here(self, execution: Execution) -> None:
        outcome: dict[str, Array] | Exception
        try:
            outcome = self._work(execution)
        except Exception as error:
            outcome = error
        self._finish(execution, outcome)

    def _work(self, execution: Execution) -> dict[str, Array]:
        begin = time.perf_counter()
        try:
            return self._runner.run(execution.request.inputs, execution.stop)
        except MemoryError:
            message = "The model's process has no memory for this request."
            raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, message, retry_after=1.0) from None
        finally:
            execution.seconds = time.perf_counter() - begin

    def _finish(self, execution: Execution, outcome: dict[str, Array] | Exception) -> None:
        self._running.discard(execution)
        self._changed.set()
        self._pace.note(execution.seconds)
        if not execution.stop.stopped:
            execution.done(outcome)
