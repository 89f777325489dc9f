# SPDX-License-Identifier: Apache-2.0
"""The work of a deploy job: make what there is of a deployment what is wanted of it.

How is the business of the target's converger (:mod:`registry_api.deployments.converger`). Here is what all have in common: a
job waits for the one before it, aims at the deployment's goal, and when it fails, it says so and what served goes on.
"""

from __future__ import annotations

from core.errors import Conflict, ErrorCode
from registry_api.db.session import Session
from registry_api.deployments.ending import Ender
from registry_api.deployments.handling import Handling
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.values import Deployment
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome


class DeployHandler:
    """Runs deploy jobs.

    Args:
        handling: What they work with.
        ender: Ends what a replaced deployment left here.
    """

    kind = JobKind.DEPLOY

    def __init__(self, handling: Handling, ender: Ender) -> None:
        self._db = handling.db
        self._clock = handling.clock
        self._claims = handling.claims
        self._convergers = handling.convergers
        self._handling = handling
        self._ender = ender
        self.timeout = handling.timeout

    async def run(self, task: JobTask) -> Outcome:
        """Converges."""
        task.progress(0.02, "waiting for the job before to end")
        if (before := task.job.spec.get("after")) is not None:
            await self._handling.ended(task.job.tenant, str(before))
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

    async def _begin(self, job: Job) -> tuple[Deployment, Revision]:
        deployment = await self._claims.own(job)
        async with self._db.write(job.tenant) as session:
            await DeploymentRepository(session, job.tenant).begin(deployment.id, now=self._clock.now())
            revision = await HistoryRepository(session, job.tenant).of(deployment, deployment.goal)
        if revision is None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT, f"Revision {deployment.goal} is no longer kept; change it instead."
            )
        return deployment, revision
