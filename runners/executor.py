# SPDX-License-Identifier: Apache-2.0
"""Threads that run batches beside the event loop.

Each instance is one thread that takes a batch, runs it and hands the result back with a single ``call_soon_threadsafe``:
one wake-up of the loop per batch, not per request. ``submit`` never blocks and the caller keeps count: it submits at most
``instances`` batches at once. A thread is started when a job needs it, so a model that is never run in parallel has one.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Executor(Generic[Job, Result]):
    """Runs jobs on ``instances`` threads and reports each on the event loop.

    Args:
        work: Called in a thread with the job; blocks.
        done: Called on the loop with the job and its result or the exception ``work`` raised.
        instances: The most threads.
        name: Prefix of the thread names.

    Attributes:
        ready: Always: threads are there when they are needed.
    """

    ready = True

    def __init__(
        self,
        *,
        work: Callable[[Job], Result],
        done: Callable[[Job, Result | Exception], None],
        instances: int,
        name: str,
    ) -> None:
        self._work = work
        self._done = done
        self._instances = instances
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._in_flight = 0

    def submit(self, job: Job) -> None:
        """Hands a job to the next free thread."""
        self._in_flight += 1
        if len(self._threads) < min(self._in_flight, self._instances):
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(job)

    def close(self) -> None:
        """Ends the threads after the jobs already submitted; does not wait for them. May be called twice."""
        for _ in self._threads:
            self._jobs.put(None)

    def join(self, timeout: float) -> bool:
        """Waits until the threads have ended, ``timeout`` seconds at most. Blocks; call it off the loop.

        Returns:
            False if a thread still runs; it ends with its job, or with the process.
        """
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _serve(self) -> None:
        # Nothing of a job is kept while the thread waits for the next one.
        while (job := self._jobs.get()) is not None and self._run(job):
            job = None

    def _run(self, job: Job) -> bool:
        result: Result | Exception
        try:
            result = self._work(job)
        except Exception as error:
            result = error
        try:
            self._loop.call_soon_threadsafe(self._report, job, result)
        except RuntimeError:
            return False  # the loop is closed: nobody is left to be told
        return True

    def _report(self, job: Job, result: Result | Exception) -> None:
        self._in_flight -= 1
        self._done(job, result)
