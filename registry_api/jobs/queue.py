# SPDX-License-Identifier: Apache-2.0
"""The worker's side of the lease table: claim, beat, end, give back. Each is one short transaction.

Guarantees. A job has at most one holder of an unexpired lease. What a job leaves behind is written in the transaction that
ends it, under the token of the current lease: once, or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from core.clock import Clock
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.jobs.interface import Apply, Fault, JobKind, Lease, Pulse, Value
from registry_api.jobs.lease import LeasePolicy, new_token
from registry_api.jobs.repository import JobRepository
from registry_api.jobs.states import JobEvent


class JobQueue:
    """Leases of one worker process.

    Args:
        database: Where jobs live.
        clock: For expiry; the clocks of all workers should agree to well under a lease's life.
        policy: How leases behave.
        owner: Names this worker in the table and the logs.
    """

    def __init__(self, database: Database, clock: Clock, policy: LeasePolicy, *, owner: str) -> None:
        self._database = database
        self._clock = clock
        self.policy = policy
        self.owner = owner

    async def claim(self, kinds: Collection[JobKind]) -> Lease | None:
        """Takes one due job of these kinds; None if there is none."""
        now = self._clock.now()
        async with self._database.write(EVERY_TENANT) as session:
            return await JobRepository(session).claim(
                kinds=kinds, owner=self.owner, token=new_token(), now=now, expires_at=self.policy.expiry(now)
            )

    async def beat(self, lease: Lease, pulse: Pulse) -> bool | None:
        """Renews the lease and writes progress and log.

        Returns:
            Whether somebody asked for the job's end; None if the lease is lost.
        """
        expires_at = self.policy.expiry(self._clock.now())
        async with self._database.write(lease.job.tenant) as session:
            return await JobRepository(session).beat(
                lease, pulse, expires_at=expires_at, log_bytes=self.policy.log_bytes
            )

    async def end(
        self,
        lease: Lease,
        pulse: Pulse,
        event: JobEvent,
        *,
        result: Mapping[str, Value] | None = None,
        error: Fault | None = None,
        apply: Apply | None = None,
    ) -> bool:
        """Ends the job and applies what it leaves behind, together.

        Returns:
            False, with nothing written, if the lease is lost.
        """
        now = self._clock.now()
        async with self._database.write(lease.job.tenant) as session:
            jobs = JobRepository(session)
            await jobs.beat(lease, pulse, expires_at=self.policy.expiry(now), log_bytes=self.policy.log_bytes)
            if not await jobs.end(lease, event, now=now, result=result, error=error):
                return False
            if apply is not None:
                await apply(session)
        return True

    async def release(self, lease: Lease, pulse: Pulse) -> bool:
        """Gives the job back as if it had not been started; False if the lease is lost."""
        return await self._give_back(lease, pulse, JobEvent.RELEASE)

    async def retry(self, lease: Lease, pulse: Pulse) -> bool:
        """Queues the job for another attempt after a pause; False if the lease is lost."""
        return await self._give_back(lease, pulse, JobEvent.RETRY)

    async def _give_back(self, lease: Lease, pulse: Pulse, event: JobEvent) -> bool:
        now = self._clock.now()
        due = now if event is JobEvent.RELEASE else self.policy.retry_at(now, attempt=lease.attempt)
        async with self._database.write(lease.job.tenant) as session:
            jobs = JobRepository(session)
            await jobs.beat(lease, pulse, expires_at=self.policy.expiry(now), log_bytes=self.policy.log_bytes)
            return await jobs.give_back(lease, event, run_after=due)
