# SPDX-License-Identifier: Apache-2.0
"""The work of a stop job: end every process of a deployment and free what it used but its log."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from core.clock import Clock
from core.errors import ErrorCode, Unavailable
from registry_api.db.session import Database, Session
from registry_api.deployments.readiness import until
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.target import Target
from registry_api.deployments.values import Deployment, Place
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome
from registry_api.jobs.service import JobService


class StopHandler:
    """Runs stop jobs. Stopping is never given up halfway: a stop that is cancelled or fails ends the processes all the same.

    Args:
        db: Where deployments are.
        clock: For times of records.
        jobs: Tells whether the start has ended.
        target: Ends processes.
        folder: Where deployments live.
        host: This machine.
        timeout: Wall time of one attempt in seconds.
    """

    kind = JobKind.STOP

    def __init__(
        self, db: Database, clock: Clock, *, jobs: JobService, target: Target, folder: Path, host: str, timeout: float
    ) -> None:
        self._db = db
        self._clock = clock
        self._jobs = jobs
        self._target = target
        self._folder = folder
        self._host = host
        self.timeout = timeout

    async def run(self, task: JobTask) -> Outcome:
        """Ends the deployment."""
        deployment = await self._load(task.job)
        if deployment is None or deployment.state is not DeploymentState.STOPPING:
            return Outcome()
        task.progress(0.1, "waiting for the start to end")
        await self._start_ended(deployment.tenant, str(task.job.spec["after"]))
        deployment = await self._load(task.job) or deployment
        task.progress(0.3, "ending its processes")
        await asyncio.to_thread(self._end, deployment)
        task.log("every process of the deployment has ended")
        return Outcome(result={"deployment": deployment.name}, apply=self._stopped(task.job))

    async def abandon(self, job: Job, _fault: Fault) -> Apply | None:
        """Ends the processes at once."""
        await asyncio.to_thread(self._target.end_all, str(job.spec["deployment"]))
        return self._stopped(job)

    def _stopped(self, job: Job) -> Apply:
        async def apply(session: Session) -> None:
            await DeploymentRepository(session, job.tenant).end(str(job.spec["deployment"]), now=self._clock.now())

        return apply

    async def _load(self, job: Job) -> Deployment | None:
        async with self._db.read(job.tenant) as session:
            return await DeploymentRepository(session, job.tenant).by_id(str(job.spec["deployment"]))

    async def _start_ended(self, tenant: str, job_id: str) -> None:
        async def ended() -> bool:
            return (await self._jobs.get(tenant, job_id)).state.final

        if not await until(ended, timeout=self.timeout / 2):
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "The start that is to be stopped has not ended yet.")

    def _end(self, deployment: Deployment) -> None:
        place = deployment.place
        if place is not None:
            self._check_here(deployment, place)
            self._target.end_run(place.run, place.pid)
            for name in ("bento", "bentoml"):
                shutil.rmtree(self._folder / deployment.id / place.run / name, ignore_errors=True)
        self._target.end_all(deployment.id)

    def _check_here(self, deployment: Deployment, place: Place) -> None:
        if place.host != self._host:
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE,
                f"Deployment {deployment.name!r} runs on {place.host!r}; the worker of that machine must end it.",
            )
