# SPDX-License-Identifier: Apache-2.0
"""Threads beside the loop: as many as are needed, each job reported once on the loop, nothing kept afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable

from runners.executor import Executor


class Job:
    """Something that can be held."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.reported = asyncio.Event()
        self.thread: str | None = None
        self.result: object = None


def executor(work: Callable[[Job], object], *, instances: int = 3) -> Executor[Job, object]:
    loop_thread = threading.get_ident()

    def done(job: Job, result: object) -> None:
        assert threading.get_ident() == loop_thread
        job.result = result
        job.reported.set()

    return Executor(work=work, done=done, instances=instances, name="runner")


def held(job: Job) -> str:
    job.thread = threading.current_thread().name
    job.go.wait(5)
    return "result"


async def test_threads_start_when_they_are_needed() -> None:
    """One for jobs that come one after another, one more for each that comes meanwhile, at most ``instances``."""
    pool = executor(held)
    for _ in range(5):
        job = Job()
        job.go.set()
        pool.submit(job)
        await job.reported.wait()
        assert (job.thread, job.result) == ("runner-0", "result")
    assert len(pool._threads) == 1
    jobs = [Job() for _ in range(3)]
    for job in jobs:
        pool.submit(job)
    assert len(pool._threads) == 3
    for job in jobs:
        job.go.set()
        await job.reported.wait()
    pool.close()
    assert await asyncio.to_thread(pool.join, 5)


async def test_an_error_is_a_result() -> None:
    """What ``work`` raises is reported like a result, and the thread lives on."""

    def fail(job: Job) -> object:
        raise ValueError("no")

    pool = executor(fail)
    for _ in range(2):
        job = Job()
        pool.submit(job)
        await job.reported.wait()
        assert isinstance(job.result, ValueError)
    pool.close()
    assert await asyncio.to_thread(pool.join, 5)


async def test_nothing_of_a_job_is_kept() -> None:
    """A thread that waits for its next job holds neither the last one nor its result."""
    pool = executor(lambda job: job)
    job = Job()
    gone = weakref.ref(job)
    pool.submit(job)
    await job.reported.wait()
    job.result = None
    del job
    async with asyncio.timeout(5):
        while gone() is not None:  # the thread may still be on its way back to its queue
            await asyncio.sleep(0)
            gc.collect()
    pool.close()


async def test_join_tells_what_still_runs() -> None:
    """False while a job goes on, True once it has ended."""
    pool = executor(held)
    job = Job()
    pool.submit(job)
    pool.close()
    assert not await asyncio.to_thread(pool.join, 0.01)
    job.go.set()
    assert await asyncio.to_thread(pool.join, 5)
