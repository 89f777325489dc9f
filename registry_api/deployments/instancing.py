# SPDX-License-Identifier: Apache-2.0
"""Converges deployments whose instances workers keep, on their own machines. Implements
:class:`registry_api.deployments.converger.Converger`.

What runs already and is what is wanted goes on. What is missing is started and proven by a real inference; only when all of
it is ready, one write says so, and only after that what is not wanted any more is ended.
"""

from __future__ import annotations

import asyncio

from core.clock import Clock
from core.errors import Conflict, ErrorCode, JobError, Unavailable
from registry_api.db.session import Database
from registry_api.deployments.claims import Claims
from registry_api.deployments.converger import Converged
from registry_api.deployments.ending import Ender
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision
from registry_api.deployments.instances.repository import InstanceRepository
from registry_api.deployments.launching import Launcher
from registry_api.deployments.machines.presence import Presence
from registry_api.deployments.readiness import until
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import NO_REVISION, Deployment, Instance, InstanceState
from registry_api.deployments.wording import counted
from registry_api.jobs.interface import Job, JobTask

_STOPPED = "somebody stopped the deployment"


class InstanceConverger:
    """Makes and ends instances.

    Args:
        db: Where deployments are.
        clock: For times of records.
        claims: Tells whether a job still works for a deployment.
        launcher: Makes instances.
        ender: Ends instances.
        targets: Tell what runs.
        presence: Tells which machines are silent.
        end_seconds: How long the workers of other machines have to end what runs there.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        claims: Claims,
        launcher: Launcher,
        ender: Ender,
        targets: Targets,
        presence: Presence,
        end_seconds: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._claims = claims
        self._launcher = launcher
        self._ender = ender
        self._targets = targets
        self._presence = presence
        self._end_seconds = end_seconds

    async def converge(self, deployment: Deployment, revision: Revision, task: JobTask) -> Converged:
        """Adopts, starts, proves, switches, ends."""
        task.progress(0.05, "looking at what runs")
        await self._tidy(await self._ender.recognize(deployment), task)
        deployment = await self._adopt(await self._claims.own(task.job), revision, task)
        for number in range(len(_right(deployment)), deployment.replicas):
            task.progress(0.1 + 0.8 * number / deployment.replicas, f"instance {number + 1} of {deployment.replicas}")
            await self._launcher.launch(deployment, revision, task)
        deployment = await self._switch(await self._claims.own(task.job), task.job)
        task.progress(0.9, "ending what is not wanted any more")
        kept = _right(deployment)[: deployment.replicas]
        surplus = [each for each in deployment.instances if each not in kept]
        why = f"revision {revision.number} wants {counted(deployment.replicas, 'instance')}"
        await self._ender.end(deployment, surplus, why=why)
        return Converged(instances=len(kept), url=kept[0].url)

    async def withdraw(self, deployment: Deployment, _job: Job) -> None:
        """Ends what never served."""
        served = {deployment.serving_revision, NO_REVISION}
        serving = [each for each in deployment.ready if each.revision in served]
        unproven = [each for each in deployment.instances if each not in serving]
        await self._ender.end(deployment, unproven, why="the job that started it did not succeed")
        if deployment.serving_revision is None:
            await self._ender.clear(deployment, log=deployment.run)

    async def end(self, deployment: Deployment, job: Job) -> None:
        """Ends what runs here, and waits for the workers of other machines to end the rest: of those that are heard of."""
        deployment = await self._claims.load(job) or deployment
        await self.end_now(deployment)
        hosts: set[str] = set()

        async def gone() -> bool:
            left = await self._claims.load(job)
            hosts.clear()
            hosts.update(() if left is None else (each.host for each in left.instances))
            return hosts <= self._presence.silent

        if not await until(gone, timeout=self._end_seconds):
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE,
                f"Deployment {deployment.name!r} runs on {', '.join(sorted(hosts))} too; the workers there must end it.",
            )

    async def end_now(self, deployment: Deployment) -> None:
        """Ends what runs here."""
        deployment = await self._ender.recognize(deployment)
        await self._ender.end(deployment, deployment.instances, why=_STOPPED)
        await self._ender.clear(deployment, log=deployment.run)

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
            message = f"Revision {revision.number} adopts {counted(len(adopted), 'instance')} that ran already."
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
            message = f"Revision {revision} serves with {counted(deployment.replicas, 'instance')}."
            history = HistoryRepository(session, deployment.tenant)
            await history.tell(deployment.id, HappeningKind.SERVING, message, at=now)
        return deployment


def _right(deployment: Deployment) -> list[Instance]:
    """The instances that are as wanted."""
    return [each for each in deployment.ready if each.revision == deployment.goal]
