# SPDX-License-Identifier: Apache-2.0
"""The worker and its attempts: every way a job can end, on a real SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from core.clock import ManualClock
from core.errors import Conflict, ErrorCode, InvalidRequest, Unavailable
from registry_api.db.session import EVERY_TENANT, Database, Session
from registry_api.jobs.attempt import Attempt, Interrupt
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, NewJob, Outcome
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.service import JobService
from registry_api.jobs.states import JobState
from registry_api.jobs.testing import FunctionHandler
from registry_api.jobs.worker import Worker

Work = Callable[[JobTask], Awaitable[Outcome]]


class House:
    """Database, service, queue and clock of one test, with short ways to use them."""

    def __init__(self, database: Database, service: JobService, queue: JobQueue, clock: ManualClock) -> None:
        self.database, self.service, self.queue, self.clock = database, service, queue, clock
        self.abandoned: list[ErrorCode] = []

    async def enqueue(self) -> Job:
        async with self.database.write(EVERY_TENANT) as session:
            return await self.service.enqueue(session, NewJob(tenant="acme", kind=JobKind.BUILD, spec={}))

    async def attempt(self, work: Work, *, timeout: float = 60) -> Attempt:
        lease = await self.queue.claim([JobKind.BUILD])
        assert lease is not None
        handler = FunctionHandler(work=work, cleanup=self._abandon, timeout=timeout)
        return Attempt(lease, handler, self.queue, self.clock)

    async def once(self, work: Work, *, timeout: float = 60) -> Job:
        job = await self.enqueue()
        await (await self.attempt(work, timeout=timeout)).run()
        return await self.service.get("acme", job.id)

    async def _abandon(self, _job: Job, fault: Fault) -> Apply | None:
        self.abandoned.append(fault.code)
        return None


@pytest.fixture
def house(database: Database, service: JobService, queue: JobQueue, clock: ManualClock) -> House:
    return House(database, service, queue, clock)


async def _forever(_task: JobTask) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_result_is_shown_with_all_that_was_logged(house: House) -> None:
    """A job that works ends succeeded, at progress 1, with its result and its whole log."""

    async def work(task: JobTask) -> Outcome:
        task.progress(0.5, "half")
        task.log("one")
        await asyncio.to_thread(task.log, "two")
        return Outcome(result={"tag": "a:1"})

    job = await house.once(work)
    assert (job.state, job.progress, job.step, job.result) == (JobState.SUCCEEDED, 1.0, "half", {"tag": "a:1"})
    assert (await house.service.log("acme", job.id, offset=0)).data == b"one\ntwo\n"
    assert house.abandoned == []


async def test_a_refusal_fails_the_job_at_once_with_its_code(house: House) -> None:
    """An error that a retry cannot help ends the job with the error's code and message, after cleaning up."""

    async def work(_task: JobTask) -> Outcome:
        raise InvalidRequest(ErrorCode.INVALID_FIELD, "bad spec")

    job = await house.once(work)
    assert (job.state, job.error) == (JobState.FAILED, Fault(code=ErrorCode.INVALID_FIELD, message="bad spec"))
    assert house.abandoned == [ErrorCode.INVALID_FIELD]


async def test_an_unknown_exception_is_not_shown(house: House) -> None:
    """The text of an exception that is not ours stays in the log."""

    async def work(_task: JobTask) -> Outcome:
        raise RuntimeError("password=hunter2")

    job = await house.once(work)
    assert job.error is not None
    assert job.error.code is ErrorCode.INTERNAL
    assert "hunter2" not in job.error.message


async def test_a_failure_that_may_pass_is_repeated_until_attempts_run_out(house: House) -> None:
    """Two retries after pauses, then the job fails with the last error."""

    async def work(_task: JobTask) -> Outcome:
        raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "away")

    job = await house.once(work)
    for _ in range(2):
        assert job.state is JobState.QUEUED
        house.clock.advance(60)
        await (await house.attempt(work)).run()
        job = await house.service.get("acme", job.id)
    assert (job.state, job.attempt) == (JobState.FAILED, 3)
    assert house.abandoned == [ErrorCode.STORE_UNAVAILABLE]


async def test_a_job_that_exceeds_its_wall_time_is_stopped(house: House) -> None:
    """The work is cancelled when its time is up, and the job fails with JOB_003."""
    job = await house.once(_forever, timeout=0.01)
    assert job.error is not None
    assert (job.state, job.error.code) == (JobState.FAILED, ErrorCode.JOB_TIMEOUT)


async def test_a_running_job_is_cancelled_on_request(house: House) -> None:
    """The work is cancelled at the next heartbeat, cleaned up, and the job ends cancelled."""
    job = await house.enqueue()
    cleaned = asyncio.Event()

    async def work(_task: JobTask) -> Outcome:
        await house.service.cancel("acme", job.id)
        try:
            return await _forever(_task)
        finally:
            cleaned.set()

    await (await house.attempt(work)).run()
    ended = await house.service.get("acme", job.id)
    assert ended.error is not None
    assert (ended.state, ended.error.code) == (JobState.CANCELLED, ErrorCode.JOB_CANCELLED)
    assert cleaned.is_set()
    assert house.abandoned == [ErrorCode.JOB_CANCELLED]


async def test_a_queued_job_is_cancelled_without_being_run(house: House) -> None:
    """A job cancelled before any worker took it never starts its work."""
    job = await house.enqueue()
    await house.service.cancel("acme", job.id)

    async def work(_task: JobTask) -> Outcome:
        raise AssertionError

    await (await house.attempt(work)).run()
    assert (await house.service.get("acme", job.id)).state is JobState.CANCELLED


async def test_a_job_whose_workers_were_all_lost_is_given_up(house: House) -> None:
    """After as many lost leases as attempts allowed, the next claim ends the job instead of running it."""
    job = await house.enqueue()
    for _ in range(3):
        await house.queue.claim([JobKind.BUILD])
        house.clock.advance(30)
    await (await house.attempt(_forever)).run()
    ended = await house.service.get("acme", job.id)
    assert ended.error is not None
    assert (ended.state, ended.attempt, ended.error.code) == (JobState.FAILED, 3, ErrorCode.JOB_FAILED)
    assert house.abandoned == [ErrorCode.JOB_FAILED]


async def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(house: House) -> None:
    """When another worker took the job over, the work is cancelled, nothing is cleaned up and nothing is written."""
    job = await house.enqueue()
    taken = []

    async def work(task: JobTask) -> Outcome:
        house.clock.advance(30)
        taken.append(await house.queue.claim([JobKind.BUILD]))
        return await _forever(task)

    await (await house.attempt(work)).run()
    shown = await house.service.get("acme", job.id)
    assert (shown.state, shown.attempt) == (JobState.RUNNING, 2)
    assert house.abandoned == []


async def test_a_result_that_cannot_be_applied_fails_the_job(house: House) -> None:
    """If the row the result belongs to refuses it, the job fails with that reason."""

    async def apply(_session: Session) -> None:
        raise Conflict(ErrorCode.STATE_CONFLICT, "gone")

    async def work(_task: JobTask) -> Outcome:
        return Outcome(apply=apply)

    job = await house.once(work)
    assert (job.state, job.error) == (JobState.FAILED, Fault(code=ErrorCode.STATE_CONFLICT, message="gone"))


async def test_a_released_attempt_gives_its_job_back(house: House) -> None:
    """An attempt interrupted because the worker stops leaves the job queued with no attempt counted."""
    job = await house.enqueue()
    attempt = await house.attempt(_forever)
    running = asyncio.create_task(attempt.run())
    while (await house.service.get("acme", job.id)).state is not JobState.RUNNING:
        await asyncio.sleep(0)
    attempt.interrupt(Interrupt.RELEASE)
    await running
    shown = await house.service.get("acme", job.id)
    assert (shown.state, shown.attempt) == (JobState.QUEUED, 0)
    assert house.abandoned == []


async def test_a_worker_runs_no_more_jobs_at_once_than_it_has_slots(house: House) -> None:
    """Six jobs on two slots, each waiting for a second one, all end; never more than two run together."""
    running, most, ended = 0, 0, 0
    done = asyncio.Event()
    pair = asyncio.Barrier(2)

    async def work(_task: JobTask) -> Outcome:
        nonlocal running, most, ended
        running += 1
        most = max(most, running)
        await pair.wait()
        running, ended = running - 1, ended + 1
        if ended == 6:
            done.set()
        return Outcome()

    jobs = [await house.enqueue() for _ in range(6)]
    worker = _worker(house, work, slots=2)
    loop = asyncio.create_task(worker.run())
    await done.wait()
    worker.stop()
    await loop
    assert most == 2
    assert {(await house.service.get("acme", job.id)).state for job in jobs} == {JobState.SUCCEEDED}


async def test_a_stopping_worker_gives_back_what_does_not_end(house: House) -> None:
    """After ``stop`` a job that goes on past the drain time is released, and ``run`` returns."""
    started = asyncio.Event()

    async def work(task: JobTask) -> Outcome:
        started.set()
        return await _forever(task)

    job = await house.enqueue()
    worker = _worker(house, work, slots=1)
    loop = asyncio.create_task(worker.run())
    await started.wait()
    worker.stop()
    worker.stop()
    await loop
    assert (await house.service.get("acme", job.id)).state is JobState.QUEUED


async def test_an_idle_worker_starts_a_job_when_woken(house: House) -> None:
    """A worker that sleeps between polls takes a job as soon as it is woken."""
    done = asyncio.Event()

    async def work(_task: JobTask) -> Outcome:
        done.set()
        return Outcome()

    worker = _worker(house, work, slots=1, poll_seconds=3600)
    loop = asyncio.create_task(worker.run())
    await house.enqueue()
    async with asyncio.timeout(30):
        while not done.is_set():
            worker.wake()
            await asyncio.sleep(0)
    worker.stop()
    await loop


def _worker(house: House, work: Work, *, slots: int, poll_seconds: float = 0.01) -> Worker:
    handlers = {JobKind.BUILD: FunctionHandler(work=work)}
    return Worker(house.queue, handlers, house.clock, slots=slots, poll_seconds=poll_seconds, drain_seconds=0.01)
