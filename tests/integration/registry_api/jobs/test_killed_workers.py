# SPDX-License-Identifier: Apache-2.0
"""Workers as real processes on one real database, killed and stopped at the wrong moment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from core.clock import SystemClock
from core.errors import FuroshikiError
from deploy.local.components.postgres import PostgresDatabase
from registry_api.db.engine import Base, create_engine
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.jobs import tables
from registry_api.jobs.interface import Job, JobKind, NewJob
from registry_api.jobs.service import JobService
from registry_api.jobs.states import JobState

ROOT = Path(__file__).parents[4]
PROGRAM = Path(__file__).with_name("worker_program.py")
WAIT = 60.0

Start = Callable[[str, int], Awaitable[Process]]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    found: PostgresDatabase = request.getfixturevalue("empty_postgres")
    return found.owner_url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    engine = create_engine(url)
    wanted = [Base.metadata.tables[row.__tablename__] for row in (tables.JobRow, tables.JobLogRow)]
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: Base.metadata.create_all(sync, tables=wanted))
        await connection.execute(text("CREATE TABLE results (job TEXT, worker TEXT)"))
    database = Database(engine)
    yield database
    await database.close()


@pytest.fixture
async def start(database: Database) -> AsyncIterator[Start]:
    started: list[Process] = []

    async def start(name: str, slow: int) -> Process:
        url = database.engine.url.render_as_string(hide_password=False)
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM), url, name, str(slow)),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=PIPE,
        )
        started.append(worker)
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"ready\n"
        return worker

    yield start
    for worker in started:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()


@pytest.fixture
def service(database: Database) -> JobService:
    return JobService(database, SystemClock(), max_attempts=3, queued=100)


async def _enqueue(database: Database, service: JobService) -> Job:
    async with database.write(EVERY_TENANT) as session:
        return await service.enqueue(session, NewJob(tenant="acme", kind=JobKind.BUILD, spec={}))


async def _until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT):
        while not await look():
            await asyncio.sleep(0.02)


async def _child_of(service: JobService, job: Job) -> psutil.Process:
    """The child of the job's current attempt, as soon as it said where it is."""
    lines: list[bytes] = []

    async def spoke() -> bool:
        lines[:] = (await service.log("acme", job.id, offset=0)).data.splitlines()
        return any(line.startswith(b"child ") for line in lines)

    await _until(spoke)
    return psutil.Process(int(lines[-1].split()[1]))


async def _results(database: Database) -> list[tuple[str, str]]:
    async with database.read(EVERY_TENANT) as session:
        return [(row.job, row.worker) for row in await session.execute(text("SELECT job, worker FROM results"))]


async def _freeze(database: Database, worker: Process) -> None:
    """Stops a worker outside its transactions: one that stops inside keeps every writer of SQLite waiting."""
    while True:
        worker.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(1), database.write(EVERY_TENANT) as session:
                await session.execute(text("DELETE FROM results WHERE job = ''"))
                return
        except (TimeoutError, FuroshikiError):
            worker.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.05)


async def _wait_for(service: JobService, job: Job, state: JobState) -> Job:
    async def reached() -> bool:
        return (await service.get("acme", job.id)).state is state

    await _until(reached)
    return await service.get("acme", job.id)


@pytest.mark.fault("kill -9 of the worker in mid-job")
async def test_a_killed_workers_job_is_run_again_and_applied_once(
    database: Database, service: JobService, start: Start
) -> None:
    """kill -9 in mid-job: after the lease expires another worker runs the job, ends the orphan, and leaves one result."""
    job = await _enqueue(database, service)
    first = await start("first", 1)
    orphan = await _child_of(service, job)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    assert orphan.is_running()
    await start("second", 1)
    ended = await _wait_for(service, job, JobState.SUCCEEDED)
    assert (ended.attempt, ended.result) == (2, {"worker": "second"})
    assert await _results(database) == [(job.id, "second")]
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


@pytest.mark.fault("kill -9 of the worker in mid-job")
async def test_a_frozen_worker_that_wakes_up_writes_nothing(
    database: Database, service: JobService, start: Start
) -> None:
    """A worker stopped for longer than its lease finds its job taken over; the result is applied once."""
    job = await _enqueue(database, service)
    first = await start("first", 1)
    await _child_of(service, job)
    await _freeze(database, first)
    await start("second", 1)
    await _wait_for(service, job, JobState.SUCCEEDED)
    first.send_signal(signal.SIGCONT)
    other = await _enqueue(database, service)
    await _wait_for(service, other, JobState.RUNNING)
    await service.cancel("acme", other.id)
    await _wait_for(service, other, JobState.CANCELLED)
    first.send_signal(signal.SIGTERM)
    assert await first.wait() == 0
    assert await _results(database) == [(job.id, "second")]


async def test_a_stopped_worker_gives_its_job_to_the_next(
    database: Database, service: JobService, start: Start
) -> None:
    """SIGTERM: the worker ends its child, releases the job without using up an attempt, and exits with 0."""
    job = await _enqueue(database, service)
    first = await start("first", 1)
    child = await _child_of(service, job)
    first.send_signal(signal.SIGTERM)
    assert await first.wait() == 0
    assert not child.is_running()
    assert (await service.get("acme", job.id)).state is JobState.QUEUED
    await start("second", 0)
    assert (await _wait_for(service, job, JobState.SUCCEEDED)).attempt == 1


@pytest.mark.fault("kill -9 of the worker in mid-job")
async def test_two_workers_run_many_jobs_once_each(database: Database, service: JobService, start: Start) -> None:
    """Forty jobs, two workers of four slots each, one of them killed midway: forty results, none twice."""
    jobs = [await _enqueue(database, service) for _ in range(40)]
    first, _second = await asyncio.gather(start("first", 0), start("second", 0))

    async def some() -> bool:
        return len(await _results(database)) >= 8

    await _until(some)
    first.send_signal(signal.SIGKILL)
    for job in jobs:
        await _wait_for(service, job, JobState.SUCCEEDED)
    assert sorted(job for job, _worker in await _results(database)) == sorted(job.id for job in jobs)
