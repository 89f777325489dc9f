# SPDX-License-Identifier: Apache-2.0
"""The loop that takes jobs and runs them, a bounded number at a time.

Life. ``run`` takes jobs until ``stop`` is called; it then takes no more, lets running ones end within the drain time,
and gives the rest back, which another worker may take at once. A worker that is killed loses nothing either: its leases
expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from core.clock import Clock
from core.telemetry.logs import get_logger
from registry_api.jobs.attempt import Attempt, Interrupt
from registry_api.jobs.interface import JobHandler, JobKind, Lease
from registry_api.jobs.lease import Backoff
from registry_api.jobs.queue import JobQueue

_log = get_logger(__name__)


class Worker:
    """Runs jobs of the kinds it has handlers for.

    Args:
        queue: Where jobs are claimed.
        handlers: The work of each kind.
        clock: For measuring.
        slots: The most jobs run at once.
        poll_seconds: The longest pause between two looks for work.
        drain_seconds: How long running jobs may take to end after ``stop``.
    """

    def __init__(
        self,
        queue: JobQueue,
        handlers: Mapping[JobKind, JobHandler],
        clock: Clock,
        *,
        slots: int,
        poll_seconds: float,
        drain_seconds: float,
    ) -> None:
        self._queue = queue
        self._handlers = handlers
        self._clock = clock
        self._slots = slots
        self._drain_seconds = drain_seconds
        self._backoff = Backoff(shortest=min(0.05, poll_seconds), longest=poll_seconds)
        self._running: dict[asyncio.Task[None], Attempt] = {}
        self._stopping = False
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Looks for work now instead of at the next poll."""
        self._backoff.found()
        self._wake.set()

    def stop(self) -> None:
        """Takes no more jobs; ``run`` returns when the running ones ended or were given back. May be called twice."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Takes and runs jobs until ``stop``."""
        _log.info("worker_started", owner=self._queue.owner, slots=self._slots, kinds=sorted(self._handlers))
        while not self._stopping:
            if len(self._running) >= self._slots:
                await self._wait(None)
                continue
            lease = await self._claim()
            if lease is None:
                await self._wait(self._backoff.pause())
            else:
                self._backoff.found()
                self._start(lease)
        await self._drain()
        _log.info("worker_stopped", owner=self._queue.owner)

    async def _claim(self) -> Lease | None:
        try:
            return await self._queue.claim(self._handlers.keys())
        except Exception as error:  # the database may be away for a while; the worker outlives that
            _log.warning("claim_failed", error=str(error))
            return None

    def _start(self, lease: Lease) -> None:
        attempt = Attempt(lease, self._handlers[lease.job.kind], self._queue, self._clock)
        task = asyncio.create_task(attempt.run(), name=f"job-{lease.job.id}")
        self._running[task] = attempt
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.wake()

    async def _wait(self, seconds: float | None) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _drain(self) -> None:
        if not self._running:
            return
        await asyncio.wait(list(self._running), timeout=self._drain_seconds)
        left = dict(self._running)
        for attempt in left.values():
            attempt.interrupt(Interrupt.RELEASE)
        if left:
            await asyncio.wait(list(left))
