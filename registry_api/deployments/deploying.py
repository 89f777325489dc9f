# SPDX-License-Identifier: Apache-2.0
"""The work of a deploy job: make what there is of a deployment what is wanted of it.

How is the business of the target's converger (:mod:`registry_api.deployments.converger`). Here is what all have in common: a
job waits for the one before it, aims at the deployment's goal, and when it fails, it says so and what served goes on.
"""

from __future__ import annotations

from typing import Final

from core.clock import Clock
from core.errors import Conflict, ErrorCode, Unavailable
from registry_api.db.session import Database, Session
from registry_api.deployments.claims import Claims
from registry_api.deployments.converger import Convergers
from registry_api.deployments.ending import Ender
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision, first_revision
from registry_api.deployments.readiness import until
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.values import Deployment
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome
from registry_api.jobs.service import JobService

PATIENCE: Final = 0.1
"""Of an attempt's time, for the job before to end. It may need the very slot that waits for it, which is given back then."""


class DeployHandler:
    """Runs deploy jobs.

    Args:
        db: Where deployments are.
        clock: For times of records.
        jobs: Tells whether the job before has ended.
        claims: Tells whether a job still works for a deployment.
        convergers: Do the work.
        ender: Ends what a replaced deployment left here.
        timeout: Wall time of one attempt in seconds.
    """

    kind = JobKind.DEPLOY

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        jobs: JobService,
        claims: Claims,
        convergers: Convergers,
        ender: Ender,
        timeout: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._jobs = jobs
        self._claims = claims
        self._convergers = convergers
        self._ender = ender
        self.timeout = timeout

    async def run(self, task: JobTask) -> Outcome:
        """Converges."""
        task.progress(0.02, "waiting for the job before to end")
        await self._others_ended(task.job)
        if (replaced := task.job.spec.get("replaces")) is not None:
            await self._ender.end_all(str(replaced))
        deployment, revision = await self._begin(task.job)
        done = await self._convergers.of(revision.template.target).converge(deployment, revision, task)
        return Outcome(result={"revision": revision.number, "instances": done.instances, "url": done.url})

    async def abandon(self, job: Job, fault: Fault) -> Apply | None:
        """Takes back what never served and says why; what served before goes on."""
        deployment = await self._claims.held(job)
        if deployment is None:
            return None
        converger = self._convergers.find(deployment.template.target)
        if converger is not None:
            await converger.withdraw(deployment, job)

        async def apply(session: Session) -> None:
            deployments, now = DeploymentRepository(session, job.tenant), self._clock.now()
            if deployment.serving_revision is None:
                await deployments.fail(deployment.id, fault, now=now)
            else:
                await deployments.blame(deployment.id, fault, now=now)
            kind = HappeningKind.FAILED if deployment.serving_revision is None else HappeningKind.FAULT
            message = f"Revision {deployment.goal} did not become ready: {fault.code}: {fault.message}"
            await HistoryRepository(session, job.tenant).tell(deployment.id, kind, message, at=now)

        return apply

    async def _others_ended(self, job: Job) -> None:
        before = job.spec.get("after")

        async def ended() -> bool:
            return (await self._jobs.get(job.tenant, str(before))).state.final

        if before is not None and not await until(ended, timeout=self.timeout * PATIENCE):
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "The job before this one has not ended yet.")

    async def _begin(self, job: Job) -> tuple[Deployment, Revision]:
        deployment = await self._claims.own(job)
        async with self._db.write(job.tenant) as session:
            await DeploymentRepository(session, job.tenant).begin(deployment.id, now=self._clock.now())
            history = HistoryRepository(session, job.tenant)
            revision = await history.revision(deployment.id, deployment.goal)
        if revision is None and deployment.goal == deployment.revision:
            revision = first_revision(deployment)
        if revision is None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT, f"Revision {deployment.goal} is no longer kept; change it instead."
            )
        return deployment, revision
