# SPDX-License-Identifier: Apache-2.0
"""The work of a stop job: end every instance of a deployment and free what it used but its log."""

from __future__ import annotations

from core.clock import Clock
from core.errors import ErrorCode, Unavailable
from registry_api.db.session import Database, Session
from registry_api.deployments.ending import Ender
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.readiness import until
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import Deployment
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome
from registry_api.jobs.service import JobService

_WHY = "somebody stopped the deployment"


class StopHandler:
    """Runs stop jobs. Stopping is never given up halfway: a stop that is cancelled or fails ends the processes all the same.

    Args:
        db: Where deployments are.
        clock: For times of records.
        jobs: Tells whether the start has ended.
        ender: Ends instances.
        timeout: Wall time of one attempt in seconds.
    """

    kind = JobKind.STOP

    def __init__(self, db: Database, clock: Clock, *, jobs: JobService, ender: Ender, timeout: float) -> None:
        self._db = db
        self._clock = clock
        self._jobs = jobs
        self._ender = ender
        self.timeout = timeout

    async def run(self, task: JobTask) -> Outcome:
        """Ends the deployment."""
        deployment = await self._load(task.job)
        if deployment is None or deployment.state is not DeploymentState.STOPPING:
            return Outcome()
        task.progress(0.1, "waiting for the start to end")
        await self._start_ended(deployment.tenant, str(task.job.spec["after"]))
        task.progress(0.3, "ending its processes")
        await self._end(task.job, deployment)
        task.log("every process of the deployment has ended")
        return Outcome(result={"deployment": deployment.name}, apply=self._stopped(task.job))

    async def abandon(self, job: Job, _fault: Fault) -> Apply | None:
        """Ends the processes at once."""
        deployment = await self._load(job)
        if deployment is not None:
            await self._ender.end(deployment, deployment.instances, why=_WHY)
            await self._ender.clear(deployment, log=deployment.run)
        return self._stopped(job)

    def _stopped(self, job: Job) -> Apply:
        deployment_id = str(job.spec["deployment"])

        async def apply(session: Session) -> None:
            now = self._clock.now()
            if await DeploymentRepository(session, job.tenant).end(deployment_id, now=now):
                history = HistoryRepository(session, job.tenant)
                await history.tell(deployment_id, HappeningKind.STOPPED, "Nothing of it runs any more.", at=now)

        return apply

    async def _load(self, job: Job) -> Deployment | None:
        async with self._db.read(job.tenant) as session:
            return await DeploymentRepository(session, job.tenant).by_id(str(job.spec["deployment"]))

    async def _start_ended(self, tenant: str, job_id: str) -> None:
        async def ended() -> bool:
            return (await self._jobs.get(tenant, job_id)).state.final

        if not await until(ended, timeout=self.timeout / 2):
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "The start that is to be stopped has not ended yet.")

    async def _end(self, job: Job, deployment: Deployment) -> None:
        """Ends what runs here, and waits for the workers of other machines to end the rest."""
        deployment = await self._load(job) or deployment
        await self._ender.end(deployment, deployment.instances, why=_WHY)
        await self._ender.clear(deployment, log=deployment.run)

        async def gone() -> bool:
            left = await self._load(job)
            return left is None or not left.instances

        if not await until(gone, timeout=self.timeout / 4):
            hosts = ", ".join(sorted({each.host for each in deployment.instances} - {self._ender.host}))
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE,
                f"Deployment {deployment.name!r} runs on {hosts} too; the workers there must end it.",
            )
