# SPDX-License-Identifier: Apache-2.0
"""One attempt at one leased job: run the handler, keep the lease alive, write the end.

Rules. The attempt ends in exactly one way: a result, a failure, a cancellation, a release (the worker stops), or
silently when the lease is lost. A worker that could not renew its lease for a lease's life stops the work by itself.
What an earlier attempt's children left running on this machine is ended before the handler starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from core.clock import Clock
from core.errors import ErrorCode, FuroshikiError, JobError, TransientError
from core.telemetry.logs import get_logger
from core.telemetry.metrics import JOB_SECONDS, JOBS
from registry_api.jobs.interface import Fault, Job, JobHandler, Lease, Outcome, Pulse
from registry_api.jobs.process import JOB_VARIABLE, end_by_variable
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.states import MOVES, JobEvent, JobState, Verdict, verdict
from registry_api.jobs.task import Task

_log = get_logger(__name__)


class Interrupt(StrEnum):
    """Why running work was stopped from outside."""

    CANCEL = "cancel"  # somebody asked for the job's end
    LOST = "lost"  # another worker may have the job now
    RELEASE = "release"  # this worker stops


class Attempt:
    """Runs one lease to its end.

    Args:
        lease: What was claimed.
        handler: Does the work of this kind.
        queue: Where the lease came from.
        clock: For measuring.
    """

    def __init__(self, lease: Lease, handler: JobHandler, queue: JobQueue, clock: Clock) -> None:
        self._lease = lease
        self._handler = handler
        self._queue = queue
        self._clock = clock
        self._task = Task(lease.job, log_bytes=queue.policy.log_bytes)
        self._interrupt: Interrupt | None = None
        self._work: asyncio.Task[Outcome] | None = None
        self._renewed = clock.monotonic()
        self._writing = asyncio.Lock()  # a heartbeat never overtakes the end: its log lines come first

    def interrupt(self, reason: Interrupt) -> None:
        """Stops the work; the first reason given counts."""
        if self._interrupt is None:
            self._interrupt = reason
            if self._work is not None:
                self._work.cancel()

    async def run(self) -> None:
        """Runs the job and writes its end. Raises nothing but cancellation of the caller."""
        job, started = self._lease.job, self._clock.monotonic()
        log = _log.bind(job=job.id, kind=job.kind, tenant=job.tenant, attempt=self._lease.attempt)
        log.info("job_claimed")
        beats = asyncio.create_task(self._beat())
        try:
            event = await self._finish()
        except Exception:
            log.exception("job_end_not_written")  # the lease expires and another attempt follows
            return
        finally:
            beats.cancel()
        log.info("job_left", event_name=event)
        if event is not None and (state := MOVES[JobState.RUNNING, event]).final:
            JOBS.labels(job.kind, state).inc()
            JOB_SECONDS.labels(job.kind).observe(self._clock.monotonic() - started)

    async def _finish(self) -> JobEvent | None:
        """Works, then writes how it ended. None: the lease was lost and nothing was written."""
        try:
            outcome = await self._try()
        except asyncio.CancelledError:
            if self._interrupt is None:
                raise  # the worker itself is being torn down
            return await self._interrupted(self._interrupt)
        except TransientError as error:
            if self._lease.attempt < self._lease.job.max_attempts:
                self._task.log(f"attempt {self._lease.attempt} failed, will be repeated: {error}")
                return await self._write(JobEvent.RETRY, lambda pulse: self._queue.retry(self._lease, pulse))
            return await self._fail(JobEvent.FAIL, Fault(code=error.code, message=error.message))
        except FuroshikiError as error:
            _log.warning("job_failed", job=self._lease.job.id, code=error.code, **error.log_context)
            return await self._fail(JobEvent.FAIL, Fault(code=error.code, message=error.message))
        except Exception:
            _log.exception("job_crashed", job=self._lease.job.id)
            return await self._fail(JobEvent.FAIL, _internal(self._lease.job))
        return await self._succeed(outcome)

    async def _try(self) -> Outcome:
        job, attempt = self._lease.job, self._lease.attempt
        decision = verdict(attempt=attempt, max_attempts=job.max_attempts, cancel_requested=job.cancel_requested)
        if attempt > 1 or decision is not Verdict.RUN:
            await asyncio.to_thread(end_by_variable, JOB_VARIABLE, job.id)
        if decision is Verdict.CANCEL:
            self._interrupt = Interrupt.CANCEL
        if decision is Verdict.GIVE_UP:
            raise JobError(
                ErrorCode.JOB_FAILED, f"Given up: the worker was lost in each of {job.max_attempts} attempts."
            )
        if self._interrupt is not None:
            raise asyncio.CancelledError
        self._work = asyncio.create_task(self._timed())
        return await self._work

    async def _timed(self) -> Outcome:
        try:
            async with asyncio.timeout(self._handler.timeout) as limit:
                return await self._handler.run(self._task)
        except TimeoutError:
            if not limit.expired():
                raise
            raise JobError(
                ErrorCode.JOB_TIMEOUT, f"The job did not end within {self._handler.timeout:g} s and was stopped."
            ) from None

    async def _interrupted(self, reason: Interrupt) -> JobEvent | None:
        if reason is Interrupt.LOST:
            return None
        if reason is Interrupt.RELEASE:
            return await self._write(JobEvent.RELEASE, lambda pulse: self._queue.release(self._lease, pulse))
        return await self._fail(
            JobEvent.CANCEL, Fault(code=ErrorCode.JOB_CANCELLED, message="The job was cancelled before it ended.")
        )

    async def _succeed(self, outcome: Outcome) -> JobEvent | None:
        try:
            return await self._write(
                JobEvent.SUCCEED,
                lambda pulse: self._queue.end(
                    self._lease, pulse, JobEvent.SUCCEED, result=outcome.result, apply=outcome.apply
                ),
            )
        except Exception as error:
            if isinstance(error, TransientError):
                raise
            _log.exception("job_result_refused", job=self._lease.job.id)
            fault = Fault(code=error.code, message=error.message) if isinstance(error, FuroshikiError) else None
            return await self._fail(JobEvent.FAIL, fault or _internal(self._lease.job))

    async def _fail(self, event: JobEvent, fault: Fault) -> JobEvent | None:
        self._task.log(f"{fault.code}: {fault.message}")
        async with self._writing:
            if await self._renew() is Interrupt.LOST:
                return None  # another worker has the job: what it started must not be cleaned away
        try:
            apply = await self._handler.abandon(self._lease.job, fault)
        except Exception:
            _log.exception("job_cleanup_failed", job=self._lease.job.id)
            apply = None
        return await self._write(
            event, lambda pulse: self._queue.end(self._lease, pulse, event, error=fault, apply=apply)
        )

    async def _write(self, event: JobEvent, step: Callable[[Pulse], Awaitable[bool]]) -> JobEvent | None:
        """Writes the end, again and again while the database is out of reach and the lease is ours."""
        async with self._writing:
            pulse = self._task.take()
            while True:
                try:
                    return event if await step(pulse) else None
                except TransientError:
                    if self._overdue():
                        raise
                await asyncio.sleep(self._queue.policy.heartbeat_seconds)

    async def _beat(self) -> None:
        """Renews the lease until it is cancelled; interrupts the work when told to or when the lease is lost."""
        while True:
            await asyncio.sleep(self._queue.policy.heartbeat_seconds)
            async with self._writing:
                reason = await self._renew()
            if reason is not None:
                self.interrupt(reason)
            if reason is Interrupt.LOST:
                return

    async def _renew(self) -> Interrupt | None:
        pulse = self._task.take()
        try:
            cancel = await self._queue.beat(self._lease, pulse)
        except Exception as error:
            self._task.put_back(pulse)
            _log.warning("heartbeat_failed", job=self._lease.job.id, error=str(error))
            return Interrupt.LOST if self._overdue() else None
        if cancel is None:
            return Interrupt.LOST
        self._renewed = self._clock.monotonic()
        return Interrupt.CANCEL if cancel else None

    def _overdue(self) -> bool:
        return self._clock.monotonic() - self._renewed >= self._queue.policy.seconds


def _internal(job: Job) -> Fault:
    return Fault(code=ErrorCode.INTERNAL, message=f"An internal fault; the worker's log has it under job {job.id}.")
