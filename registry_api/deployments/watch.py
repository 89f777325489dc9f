# SPDX-License-Identifier: Apache-2.0
"""The reconciler: holds what runs on one machine against what is wanted, again and again.

It only looks, says what it found, and ends what nobody wants: what is missing is started by a deploy job, at most one per
deployment at a time, whichever worker finds it first (:mod:`registry_api.deployments.repairing`). Of other machines it looks
only at whether they are there (:mod:`registry_api.deployments.absences`). What a cluster keeps has a watch of its own
(:mod:`registry_api.deployments.clusters.watch`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from core.clock import Clock
from core.errors import Conflict, TransientError
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.deployments.absences import Absences
from registry_api.deployments.drift import Drift
from registry_api.deployments.ending import Ender
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.instances.repository import InstanceRepository, unknown
from registry_api.deployments.looking import keep_looking
from registry_api.deployments.repairing import Repairer
from registry_api.deployments.repository import not_gone
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import Deployment, Instance, InstanceState

_log = get_logger(__name__)


class DeploymentWatch:
    """Looks after the deployments, as far as they are on one machine.

    Args:
        db: Where deployments are.
        clock: For times of records.
        repairer: Asks for repairs.
        targets: Know what runs here.
        ender: Ends what is not wanted.
        absences: Gives up what is on silent machines.
        drift: Compares what runs here with what is wanted.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        repairer: Repairer,
        targets: Targets,
        ender: Ender,
        absences: Absences,
        drift: Drift,
    ) -> None:
        self._db = db
        self._clock = clock
        self._repairer = repairer
        self._targets = targets
        self._ender = ender
        self._absences = absences
        self._drift = drift

    async def run(self, *, every: float) -> None:
        """Looks now and then every ``every`` seconds, until cancelled."""
        await keep_looking(self.look, every=every)

    async def look(self) -> None:
        """Ends what nobody wants, and has repaired what is not as wanted."""
        running = await self._end_strangers()
        await self._ender.sweep()
        async with self._db.read(EVERY_TENANT) as session:
            wanted = [(each, idle) for each, idle in await not_gone(session) if not each.template.target.clustered]
        drifted = await self._drift.find(deployment for deployment, _idle in wanted)
        for seen, idle in wanted:
            try:
                deployment = await self._absences.settle(seen, running, idle=idle)
                await self._check(deployment, drifted, idle=idle)
            except (TransientError, Conflict) as error:  # such as the quota of jobs: the next look tries again
                _log.warning("deployment_not_checked", deployment=seen.name, code=error.code, error=str(error))

    async def _end_strangers(self) -> frozenset[str]:
        """Ends what runs here and no row names; the rest. What runs is looked at first: a row comes before its process."""
        known: set[str] = set()
        for target in self._targets.present.values():
            running = await asyncio.to_thread(target.runs)
            async with self._db.read(EVERY_TENANT) as session:
                strangers = await unknown(session, list(running))
            known.update(running.keys() - strangers)
            for run in strangers:
                await asyncio.to_thread(target.end_run, run, None)
                await asyncio.to_thread(self._ender.free, running[run], run)
                _log.warning("orphan_ended", deployment=running[run], run=run)
        return frozenset(known)

    async def _check(self, deployment: Deployment, drifted: Mapping[str, str], *, idle: bool) -> None:
        here = [each for each in deployment.instances if each.host == self._ender.host]
        if deployment.state.over:
            await self._ender.end(deployment, here, why="the deployment is over")
            return
        gone = [each for each in here if each.state is InstanceState.READY and not await self._alive(deployment, each)]
        for each in gone:
            if await self._ender.lost(deployment, each):
                _log.error("instance_lost", tenant=deployment.tenant, deployment=deployment.name, run=each.run)
        for each in here:
            if each.run in drifted and each not in gone:
                await self._disown(deployment, each, drifted[each.run])
        unwanted = {InstanceState.ENDING, InstanceState.STARTING} if idle else {InstanceState.ENDING}
        ending = [each for each in here if each.state in unwanted]
        await self._ender.end(deployment, ending, why="it is not wanted any more")
        if idle and deployment.state is not DeploymentState.STOPPING:
            await self._repairer.repair(deployment)

    async def _disown(self, deployment: Deployment, instance: Instance, found: str) -> None:
        """An instance has drifted: a repair replaces it, and it serves until then."""
        async with self._db.write(deployment.tenant) as session:
            if not await InstanceRepository(session, deployment.tenant).disown(deployment.id, instance):
                return
            message = f"Instance {instance.run} is replaced: {found}."
            history = HistoryRepository(session, deployment.tenant)
            await history.tell(deployment.id, HappeningKind.DRIFTED, message, at=self._clock.now())
        _log.error(
            "instance_drifted", tenant=deployment.tenant, deployment=deployment.name, run=instance.run, found=found
        )

    async def _alive(self, deployment: Deployment, instance: Instance) -> bool:
        target = self._targets.of(deployment.template.target)
        return await asyncio.to_thread(target.alive, instance.run, instance.pid or 0)
