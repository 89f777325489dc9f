# SPDX-License-Identifier: Apache-2.0
"""Leases on a real SQLite: one holder, expiry, and results applied under the current lease only."""

from __future__ import annotations

import asyncio

import pytest

from core.clock import ManualClock
from core.errors import Conflict, ErrorCode, NotFound, Overloaded
from registry_api.db.session import EVERY_TENANT, Database, Session
from registry_api.http.pagination import PageRequest, decode_cursor
from registry_api.jobs.interface import Fault, Job, JobKind, Lease, NewJob, Pulse
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.service import JobService
from registry_api.jobs.states import JobEvent, JobState

QUIET = Pulse(progress=0.0, step="", lines="")


async def _enqueue(
    database: Database, service: JobService, *, kind: JobKind = JobKind.BUILD, tenant: str = "acme"
) -> Job:
    async with database.write(EVERY_TENANT) as session:
        return await service.enqueue(session, NewJob(tenant=tenant, kind=kind, spec={"build": "b1"}))


async def _claim(queue: JobQueue) -> Lease:
    lease = await queue.claim([JobKind.BUILD])
    assert lease is not None
    return lease


async def test_a_new_job_is_queued_and_not_started(database: Database, service: JobService, clock: ManualClock) -> None:
    """A job starts queued, with no attempt, no result and its specification."""
    job = await _enqueue(database, service)
    assert await service.get("acme", job.id) == job
    assert (job.state, job.attempt, job.progress, job.result, job.error) == (JobState.QUEUED, 0, 0.0, None, None)
    assert (job.spec, job.created_at, job.started_at) == ({"build": "b1"}, clock.now(), None)


async def test_a_claimed_job_is_not_claimed_again_while_its_lease_lives(
    database: Database, service: JobService, queue: JobQueue, clock: ManualClock
) -> None:
    """A second claim finds nothing until the lease has expired."""
    await _enqueue(database, service)
    await _claim(queue)
    clock.advance(29.9)
    assert await queue.claim([JobKind.BUILD]) is None


async def test_many_claims_at_once_share_the_jobs_without_overlap(
    database: Database, service: JobService, queue: JobQueue
) -> None:
    """Twenty concurrent claims of eight jobs give each job to exactly one of them, oldest first."""
    jobs = [await _enqueue(database, service) for _ in range(8)]
    leases = await asyncio.gather(*(queue.claim([JobKind.BUILD]) for _ in range(20)))
    claimed = [lease.job.id for lease in leases if lease is not None]
    assert sorted(claimed) == sorted(job.id for job in jobs)


async def test_only_asked_for_kinds_are_claimed(database: Database, service: JobService, queue: JobQueue) -> None:
    """A worker without a handler for a kind leaves its jobs alone."""
    await _enqueue(database, service, kind=JobKind.DEPLOY)
    assert await queue.claim([JobKind.BUILD]) is None
    assert await queue.claim([]) is None
    assert await queue.claim([JobKind.BUILD, JobKind.DEPLOY]) is not None


async def test_a_clock_set_back_keeps_no_job_waiting(
    database: Database, service: JobService, queue: JobQueue, clock: ManualClock
) -> None:
    """Queued, or held by a worker that died, in what is the future now: both are due. A pause before a retry is kept."""
    queued = await _enqueue(database, service)
    clock.set_back(3600)
    first = await _claim(queue)
    assert first.job.id == queued.id
    clock.set_back(3600)
    second = await _claim(queue)
    assert (second.job.id, second.attempt) == (queued.id, 2)
    assert await queue.claim([JobKind.BUILD]) is None
    assert await queue.retry(second, QUIET)
    clock.set_back(1)
    assert await queue.claim([JobKind.BUILD]) is None


async def test_an_expired_lease_passes_to_another_worker(
    database: Database, service: JobService, queue: JobQueue, clock: ManualClock
) -> None:
    """After expiry the job is claimed as attempt 2, and the first holder can write nothing any more."""
    job = await _enqueue(database, service)
    first = await _claim(queue)
    clock.advance(30)
    second = await _claim(queue)
    assert (second.job.id, second.attempt) == (job.id, 2)
    assert await queue.beat(first, QUIET) is None
    assert not await queue.end(first, QUIET, JobEvent.SUCCEED, result={"from": "first"})
    assert not await queue.release(first, QUIET)
    assert not await queue.retry(first, QUIET)
    assert await queue.end(second, QUIET, JobEvent.SUCCEED, result={"from": "second"})
    assert (await service.get("acme", job.id)).result == {"from": "second"}


async def test_a_heartbeat_keeps_the_lease(
    database: Database, service: JobService, queue: JobQueue, clock: ManualClock
) -> None:
    """A lease renewed at 20 s of 30 still holds at 40 s."""
    await _enqueue(database, service)
    lease = await _claim(queue)
    clock.advance(20)
    assert await queue.beat(lease, QUIET) is False
    clock.advance(20)
    assert await queue.claim([JobKind.BUILD]) is None


async def test_what_a_job_leaves_behind_is_written_with_its_end_or_not_at_all(
    database: Database, service: JobService, queue: JobQueue
) -> None:
    """When applying fails, the job has not ended either; when the lease is lost, nothing is applied."""
    job = await _enqueue(database, service)
    lease = await _claim(queue)
    applied = []

    async def refuse(_session: Session) -> None:
        raise Conflict(ErrorCode.STATE_CONFLICT, "no")

    async def apply(_session: Session) -> None:
        applied.append(1)

    with pytest.raises(Conflict):
        await queue.end(lease, QUIET, JobEvent.SUCCEED, apply=refuse)
    assert (await service.get("acme", job.id)).state is JobState.RUNNING
    assert await queue.end(lease, QUIET, JobEvent.SUCCEED, apply=apply)
    assert not await queue.end(lease, QUIET, JobEvent.SUCCEED, apply=apply)
    assert applied == [1]


async def test_a_released_job_is_due_at_once_and_loses_no_attempt(
    database: Database, service: JobService, queue: JobQueue
) -> None:
    """A worker that stops gives the job back as it got it."""
    job = await _enqueue(database, service)
    assert await queue.release(await _claim(queue), QUIET)
    assert (await service.get("acme", job.id)).state is JobState.QUEUED
    assert (await _claim(queue)).attempt == 1


async def test_a_retried_job_waits_before_its_next_attempt(
    database: Database, service: JobService, queue: JobQueue, clock: ManualClock
) -> None:
    """After a failure that may pass the job is due after the pause, as attempt 2."""
    await _enqueue(database, service)
    assert await queue.retry(await _claim(queue), QUIET)
    assert await queue.claim([JobKind.BUILD]) is None
    clock.advance(2)
    assert (await _claim(queue)).attempt == 2


async def test_a_failed_job_shows_why(database: Database, service: JobService, queue: JobQueue) -> None:
    """The error of a failed job has a code and a message, and the job has no result."""
    job = await _enqueue(database, service)
    fault = Fault(code=ErrorCode.JOB_TIMEOUT, message="too slow")
    await queue.end(await _claim(queue), QUIET, JobEvent.FAIL, error=fault)
    shown = await service.get("acme", job.id)
    assert (shown.state, shown.error, shown.result) == (JobState.FAILED, fault, None)


async def test_a_wish_to_cancel_reaches_the_holder_by_its_heartbeat(
    database: Database, service: JobService, queue: JobQueue
) -> None:
    """The heartbeat after the wish says so; an ended job is not changed by a wish."""
    job = await _enqueue(database, service)
    lease = await _claim(queue)
    assert (await service.cancel("acme", job.id)).cancel_requested
    assert await queue.beat(lease, QUIET) is True
    await queue.end(lease, QUIET, JobEvent.SUCCEED)
    before = await service.get("acme", job.id)
    assert await service.cancel("acme", job.id) == before


async def test_a_wish_to_cancel_makes_a_waiting_retry_due(
    database: Database, service: JobService, queue: JobQueue
) -> None:
    """A job that waits for its next attempt is handed out at once when its end was asked for."""
    job = await _enqueue(database, service)
    await queue.retry(await _claim(queue), QUIET)
    await service.cancel("acme", job.id)
    assert (await _claim(queue)).job.cancel_requested


async def test_log_lines_are_served_from_any_offset(database: Database, service: JobService, queue: JobQueue) -> None:
    """Pieces written by several heartbeats read as one text from any byte on."""
    job = await _enqueue(database, service)
    lease = await _claim(queue)
    for text in ("first\n", "", "zweite ü\n", "third\n"):
        await queue.beat(lease, Pulse(progress=0.5, step="working", lines=text))
    whole = "first\nzweite ü\nthird\n".encode()
    for offset in range(len(whole) + 2):
        log = await service.log("acme", job.id, offset=offset)
        assert (log.data, log.size) == (whole[offset:], len(whole))
    shown = await service.get("acme", job.id)
    assert (shown.progress, shown.step) == (0.5, "working")


async def test_a_log_stops_growing_at_its_limit(database: Database, service: JobService, queue: JobQueue) -> None:
    """However much is said, no more than the limit is kept, and the last line says so."""
    job = await _enqueue(database, service)
    lease = await _claim(queue)
    for _ in range(10):
        await queue.beat(lease, Pulse(progress=0, step="", lines="x" * 299 + "\n"))
    log = await service.log("acme", job.id, offset=0)
    assert (len(log.data), log.size) == (1000, 1000)
    assert log.data.endswith(b"further lines are not kept]\n")


async def test_a_tenant_does_not_see_the_jobs_of_another(database: Database, service: JobService) -> None:
    """Get, log, cancel and list of another tenant's job answer as if it did not exist."""
    job = await _enqueue(database, service)
    for ask in (service.get("evil", job.id), service.log("evil", job.id, offset=0), service.cancel("evil", job.id)):
        with pytest.raises(NotFound) as refused:
            await ask
        assert refused.value.code is ErrorCode.JOB_NOT_FOUND
    assert (await service.page("evil", PageRequest())).items == ()
    assert not (await service.get("acme", job.id)).cancel_requested


async def test_a_tenant_cannot_queue_without_limit(database: Database, clock: ManualClock) -> None:
    """At the limit a new job is refused at once, with a time to come back; another tenant is not affected."""
    service = JobService(database, clock, max_attempts=3, queued=2)
    await _enqueue(database, service)
    await _enqueue(database, service)
    with pytest.raises(Overloaded) as refused:
        await _enqueue(database, service)
    assert refused.value.code is ErrorCode.QUOTA_EXCEEDED
    assert refused.value.retry_after is not None
    await _enqueue(database, service, tenant="other")


async def test_jobs_are_listed_newest_first_in_pages(database: Database, service: JobService) -> None:
    """Pages follow each other without gap or repetition, and filters narrow them."""
    jobs = [await _enqueue(database, service, kind=kind) for kind in (JobKind.BUILD, JobKind.STOP) * 3]
    first = await service.page("acme", PageRequest(limit=4))
    assert first.next_cursor is not None
    rest = await service.page("acme", PageRequest(limit=4, after=decode_cursor(first.next_cursor)))
    assert [job.id for job in (*first.items, *rest.items)] == [job.id for job in reversed(jobs)]
    assert rest.next_cursor is None
    stops = await service.page("acme", PageRequest(), kind=JobKind.STOP, state=JobState.QUEUED)
    assert {job.kind for job in stops.items} == {JobKind.STOP}
    assert (await service.page("acme", PageRequest(), state=JobState.RUNNING)).items == ()
