# SPDX-License-Identifier: Apache-2.0
"""Jobs as their tenant sees them, and the one way to write a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.clock import Clock
from core.errors import ErrorCode, NotFound, Overloaded
from registry_api.db.session import Database, Session
from registry_api.http.pagination import Listing, PageRequest
from registry_api.jobs.interface import Job, JobKind, NewJob
from registry_api.jobs.log import READ_BYTES
from registry_api.jobs.repository import JobRepository
from registry_api.jobs.states import JobState

_RETRY_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLog:
    """A piece of a job's log."""

    data: bytes
    size: int  # bytes of the whole log so far


class JobService:
    """What the API does with jobs; running them is the worker's part.

    Args:
        database: Where jobs live.
        clock: For times of records.
        max_attempts: How often a new job may be started.
        queued: The most jobs of one tenant that have not ended.
    """

    def __init__(self, database: Database, clock: Clock, *, max_attempts: int, queued: int) -> None:
        self._database = database
        self._clock = clock
        self._max_attempts = max_attempts
        self._queued = queued

    async def enqueue(self, session: Session, new: NewJob) -> Job:
        """Writes a job in the transaction of the row it works for, so that neither exists without the other.

        Raises:
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        jobs = JobRepository(session)
        if await jobs.waiting(new.tenant) >= self._queued:
            raise Overloaded(
                ErrorCode.QUOTA_EXCEEDED,
                f"Tenant {new.tenant!r} has {self._queued} jobs waiting or running, which is the limit. "
                "Wait for some to end, or cancel them.",
                retry_after=_RETRY_SECONDS,
            )
        return await jobs.add(new, max_attempts=self._max_attempts, now=self._clock.now())

    async def get(self, tenant: str, job_id: str) -> Job:
        """One job.

        Raises:
            NotFound: ``JOB_001`` if the tenant has no such job.
        """
        async with self._database.read(tenant) as session:
            job = await JobRepository(session).get(tenant, job_id)
        if job is None:
            raise _unknown(job_id)
        return job

    async def page(
        self, tenant: str, request: PageRequest, *, state: JobState | None = None, kind: JobKind | None = None
    ) -> Listing[Job]:
        """The tenant's jobs, newest first."""
        async with self._database.read(tenant) as session:
            return await JobRepository(session).page(tenant, request, state=state, kind=kind)

    async def log(self, tenant: str, job_id: str, *, offset: int) -> JobLog:
        """At most 1 MiB of the job's log from ``offset`` (bytes) on.

        Raises:
            NotFound: ``JOB_001`` if the tenant has no such job.
        """
        async with self._database.read(tenant) as session:
            found = await JobRepository(session).log(tenant, job_id, offset=offset, limit=READ_BYTES)
        if found is None:
            raise _unknown(job_id)
        data, size = found
        return JobLog(data=data, size=size)

    async def cancel(self, tenant: str, job_id: str) -> Job:
        """Asks for the job's end. It ends when a worker sees the wish; a job that has ended stays as it is.

        Raises:
            NotFound: ``JOB_001`` if the tenant has no such job.
        """
        async with self._database.write(tenant) as session:
            await self.cancel_within(session, tenant, job_id)
            job = await JobRepository(session).get(tenant, job_id)
        if job is None:
            raise _unknown(job_id)
        return job

    async def cancel_within(self, session: Session, tenant: str, job_id: str) -> None:
        """Asks for the job's end in the transaction of whatever makes it pointless; unknown jobs are ignored."""
        await JobRepository(session).request_cancel(tenant, job_id)


def _unknown(job_id: str) -> NotFound:
    return NotFound(ErrorCode.JOB_NOT_FOUND, f"There is no job {job_id[:64]!r}.", details={"job": job_id[:64]})
