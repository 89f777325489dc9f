# SPDX-License-Identifier: Apache-2.0
"""The work of a stop job: end everything of a deployment and free what it used but its log.

What is on machines that are not heard of is left to them; the deployment's instances show it until they are back.
"""

from __future__ import annotations

from registry_api.db.session import Session
from registry_api.deployments.handling import Handling
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import Deployment
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome


class StopHandler:
    """Runs stop jobs. Stopping is never given up halfway: a stop that is cancelled or fails ends what runs all the same.

    Args:
        handling: What they work with.
    """

    kind = JobKind.STOP

    def __init__(self, handling: Handling) -> None:
        self._clock = handling.clock
        self._claims = handling.claims
        self._convergers = handling.convergers
        self._handling = handling
        self.timeout = handling.timeout

    async def run(self, task: JobTask) -> Outcome:
        """Ends the deployment."""
        deployment = await self._claims.load(task.job)
        if deployment is None or deployment.state is not DeploymentState.STOPPING:
            return Outcome()
        task.progress(0.1, "waiting for the start to end")
        await self._handling.ended(deployment.tenant, str(task.job.spec["after"]))
        task.progress(0.3, "ending what runs")
        await self._convergers.of(deployment.template.target).end(deployment, task.job)
        deployment = await self._claims.load(task.job) or deployment
        task.log(_left(deployment))
        return Outcome(result={"deployment": deployment.name}, apply=self._stopped(task.job))

    async def abandon(self, job: Job, _fault: Fault) -> Apply | None:
        """Ends what runs at once."""
        deployment = await self._claims.load(job)
        converger = None if deployment is None else self._convergers.find(deployment.template.target)
        if deployment is not None and converger is not None:
            await converger.end_now(deployment)
        return self._stopped(job)

    def _stopped(self, job: Job) -> Apply:
        deployment_id = str(job.spec["deployment"])

        async def apply(session: Session) -> None:
            now, deployments = self._clock.now(), DeploymentRepository(session, job.tenant)
            if await deployments.end(deployment_id, now=now):
                deployment = await deployments.by_id(deployment_id)
                history = HistoryRepository(session, job.tenant)
                await history.tell(deployment_id, HappeningKind.STOPPED, _left(deployment), at=now)

        return apply


def _left(deployment: Deployment | None) -> str:
    """What is still to be ended, in words."""
    if deployment is None or not deployment.instances:
        return "Nothing of it runs any more."
    left = "; ".join(f"instance {each.run} by machine {each.host}" for each in deployment.instances)
    return f"Still to be ended, once their machines are heard of: {left}. Nothing else of it runs any more."
