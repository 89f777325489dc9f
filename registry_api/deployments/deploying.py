# SPDX-License-Identifier: Apache-2.0
"""The work of a deploy job: make what there is of a deployment what is wanted of it.

Guarantees. What runs already and is what is wanted goes on. What is missing is started and proven by a real inference; only
when all of it is ready, one write says so, and only after that what is not wanted any more is ended. A job that ends without
that ends what it started and leaves alone what served before. Killed anywhere and run again, it comes to the same end.
"""

from __future__ import annotations

import asyncio

from core.clock import Clock
from core.errors import Conflict, ErrorCode, JobError, Unavailable
from registry_api.db.session import Database, Session
from registry_api.deployments.ending import Ender
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision, first_revision
from registry_api.deployments.instances.repository import InstanceRepository
from registry_api.deployments.launching import Launcher
from registry_api.deployments.readiness import until
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import NO_REVISION, Deployment, Instance, InstanceState
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome
from registry_api.jobs.service import JobService

_TO_RUN = frozenset({DeploymentState.PENDING, DeploymentState.STARTING, DeploymentState.RUNNING})


class DeployHandler:
    """Runs deploy jobs.

    Args:
        db: Where deployments are.
        clock: For times of records.
        jobs: Tells whether the job before has ended.
        launcher: Makes instances.
        ender: Ends instances.
        targets: Tell what runs.
        timeout: Wall time of one attempt in seconds.
    """

    kind = JobKind.DEPLOY

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        jobs: JobService,
        launcher: Launcher,
        ender: Ender,
        targets: Targets,
        timeout: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._jobs = jobs
        self._launcher = launcher
        self._ender = ender
        self._targets = targets
        self.timeout = timeout

    async def run(self, task: JobTask) -> Outcome:
        """Converges."""
        task.progress(0.02, "waiting for the job before to end")
        await self._others_ended(task.job)
        if (replaced := task.job.spec.get("replaces")) is not None:
            await self._ender.end_all(str(replaced))
        deployment, revision = await self._begin(task.job)
        task.progress(0.05, "looking at what runs")
        await self._tidy(deployment, task)
        deployment = await self._adopt(await self._own(task.job), revision, task)
        for number in range(len(_right(deployment)), deployment.replicas):
            task.progress(0.1 + 0.8 * number / deployment.replicas, f"instance {number + 1} of {deployment.replicas}")
            await self._launcher.launch(deployment, revision, task)
        deployment = await self._switch(await self._own(task.job), task.job)
        task.progress(0.9, "ending what is not wanted any more")
        kept = _right(deployment)[: deployment.replicas]
        surplus = [each for each in deployment.instances if each not in kept]
        await self._ender.end(
            deployment, surplus, why=f"{deployment.replicas} of revision {revision.number} are wanted"
        )
        return Outcome(result={"revision": revision.number, "instances": len(kept), "url": kept[0].url})

    async def abandon(self, job: Job, fault: Fault) -> Apply | None:
        """Ends what never served and says why; what served before goes on."""
        deployment = await self._load(job)
        if deployment is None or deployment.job_id != job.id or deployment.state not in _TO_RUN:
            return None
        served = {deployment.serving_revision, NO_REVISION}
        serving = [each for each in deployment.ready if each.revision in served]
        unproven = [each for each in deployment.instances if each not in serving]
        await self._ender.end(deployment, unproven, why="the job that started it did not succeed")
        if deployment.serving_revision is None:
            await self._ender.clear(deployment, log=deployment.run)

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

    async def _load(self, job: Job) -> Deployment | None:
        async with self._db.read(job.tenant) as session:
            return await DeploymentRepository(session, job.tenant).by_id(str(job.spec["deployment"]))

    async def _own(self, job: Job) -> Deployment:
        """The deployment as it is now.

        Raises:
            Conflict: ``STATE_001`` if it is not to run any more, or another job works for it.
        """
        deployment = await self._load(job)
        if deployment is None or deployment.job_id != job.id or deployment.state not in _TO_RUN:
            raise Conflict(ErrorCode.STATE_CONFLICT, "The deployment was stopped or changed meanwhile.")
        return deployment

    async def _others_ended(self, job: Job) -> None:
        before = job.spec.get("after")

        async def ended() -> bool:
            return (await self._jobs.get(job.tenant, str(before))).state.final

        if before is not None and not await until(ended, timeout=self.timeout / 2):
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "The job before this one has not ended yet.")

    async def _begin(self, job: Job) -> tuple[Deployment, Revision]:
        deployment = await self._own(job)
        async with self._db.write(job.tenant) as session:
            await DeploymentRepository(session, job.tenant).begin(deployment.id, now=self._clock.now())
            revision = await HistoryRepository(session, job.tenant).revision(deployment.id, deployment.goal)
        if revision is None and deployment.goal == deployment.revision:
            revision = first_revision(deployment)
        if revision is None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT, f"Revision {deployment.goal} is no longer kept; change it instead."
            )
        return deployment, revision

    async def _tidy(self, deployment: Deployment, task: JobTask) -> None:
        """Ends what an earlier attempt left half done, and what nobody knows; says what is gone."""
        here = [each for each in deployment.instances if each.host == self._ender.host]
        half = [each for each in here if each.state is not InstanceState.READY]
        await self._ender.end(deployment, half, why="an earlier attempt left it")
        target = self._targets.of(deployment.template.target)
        kept = []
        for each in here:
            if each in half:
                continue
            if await asyncio.to_thread(target.alive, each.run, each.pid or 0):
                kept.append(each.run)
            else:
                await self._ender.lost(deployment, each)
                task.log(f"instance {each.run} is gone")
        for run in await self._ender.clear(deployment, but=kept):
            task.log(f"ended {run}, which nobody knew")

    async def _adopt(self, deployment: Deployment, revision: Revision, task: JobTask) -> Deployment:
        """Takes over instances of other revisions that were made of the very template that is wanted."""
        async with self._db.write(deployment.tenant) as session:
            history = HistoryRepository(session, deployment.tenant)
            same = set()
            for number in {each.revision for each in deployment.ready} - {revision.number}:
                other = await history.revision(deployment.id, number)
                if other is not None and other.template == revision.template:
                    same.add(number)
            adopted = [each.run for each in deployment.ready if each.revision in same]
            if not adopted:
                return deployment
            deployments = DeploymentRepository(session, deployment.tenant)
            if deployment.serving_revision in same:
                await deployments.serves(deployment.id, revision.number)
            await InstanceRepository(session, deployment.tenant).adopt(deployment.id, adopted, revision.number)
            message = f"{len(adopted)} instances that ran are what revision {revision.number} wants."
            await history.tell(deployment.id, HappeningKind.ADOPTED, message, at=self._clock.now())
            found = await deployments.by_id(deployment.id)
        task.log(message)
        return found or deployment

    async def _switch(self, deployment: Deployment, job: Job) -> Deployment:
        """Says that what is wanted serves, in one write."""
        now, revision = self._clock.now(), deployment.goal
        if len(_right(deployment)) < deployment.replicas:
            raise JobError(ErrorCode.JOB_FAILED, "An instance was lost while others were started.")
        async with self._db.write(deployment.tenant) as session:
            deployments = DeploymentRepository(session, deployment.tenant)
            if not await deployments.ready(deployment, revision, job=job, now=now):
                raise Conflict(ErrorCode.STATE_CONFLICT, f"Deployment {deployment.name!r} was changed meanwhile.")
            await InstanceRepository(session, deployment.tenant).show(deployment.id)
            message = f"Revision {revision} serves with {deployment.replicas} instances."
            history = HistoryRepository(session, deployment.tenant)
            await history.tell(deployment.id, HappeningKind.SERVING, message, at=now)
        return deployment


def _right(deployment: Deployment) -> list[Instance]:
    """The instances that are as wanted."""
    return [each for each in deployment.ready if each.revision == deployment.goal]
