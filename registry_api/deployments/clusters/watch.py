# SPDX-License-Identifier: Apache-2.0
"""The reconciler of deployments in a cluster: what the cluster says, held against what is wanted, again and again.

The cluster itself replaces pods; so a deployment without a ready pod is said to be lost, and to serve again when it does,
and is left to the cluster. What is repaired, by a deploy job, is what the cluster does not know to be wrong: objects that
differ from what is wanted. What this registry applied and no deployment wants is removed; what a registry at another URL
applied under the same instance's name is only told, as two that share a namespace by mistake would end each other's.

Any number of workers may look at once: every move is guarded, every repair is one job, and of what is removed each object is
named by its uid. A cluster that cannot be reached, or refuses, is a warning and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from artifacts.stores.threads import finished
from core.clock import Clock
from core.errors import FuroshikiError
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.deployments.clusters.gathering import Gatherer
from registry_api.deployments.clusters.wishes import Wishes
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.values import Difference, Managed, Status
from registry_api.deployments.looking import keep_looking
from registry_api.deployments.repairing import Repairer
from registry_api.deployments.repository import DeploymentRepository, not_over
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import Deployment
from registry_api.deployments.wording import counted

_log = get_logger(__name__)

_REMOVE_SECONDS: Final = 10.0  # of one look; what is left then goes in the next
_SHOWN: Final = 3  # differences in one message
_SHOWN_CHARS: Final = 120


class ClusterWatch:
    """Looks after the deployments of one cluster.

    Args:
        db: Where deployments are.
        clock: For times of records, and for the time between comparisons.
        cluster: Runs them.
        gatherer: Copies what their pods print.
        wishes: Tells what is wanted of it.
        repairer: Asks for repairs.
        compare_seconds: Between two comparisons of one deployment's objects.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        cluster: Cluster,
        gatherer: Gatherer,
        wishes: Wishes,
        repairer: Repairer,
        compare_seconds: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._cluster = cluster
        self._gatherer = gatherer
        self._wishes = wishes
        self._repairer = repairer
        self._compare_seconds = compare_seconds
        self._compared: dict[str, float] = {}  # when, by deployment
        self._strangers: set[str] = set()  # releases of another registry that were told of

    async def run(self, *, every: float) -> None:
        """Looks now and then every ``every`` seconds, until cancelled; copies logs beside that, as nodes may be slow."""
        async with asyncio.TaskGroup() as group:
            for look in (self.look, self.copy_logs):
                group.create_task(keep_looking(look, every=every))

    async def look(self) -> None:
        """Says what changed, has repaired what differs, and removes what nobody wants."""
        try:
            found = await asyncio.to_thread(self._cluster.managed)
        except FuroshikiError as error:
            _log.warning("cluster_not_looked_at", code=error.code, error=error.message)
            return
        wanted = await self._wanted()  # after the cluster: a row comes before its objects
        await self._remove_orphans(found, {self._cluster.release(each.tenant, each.name) for each, _idle in wanted})
        self._compared = {each.id: self._compared[each.id] for each, _idle in wanted if each.id in self._compared}
        for deployment, idle in wanted:
            if idle and deployment.state is not DeploymentState.STOPPING:
                try:
                    await self._check(deployment)
                except FuroshikiError as error:  # the cluster is away, the quota of jobs, somebody else was first
                    name, said = deployment.name, error.message
                    _log.warning("deployment_not_checked", deployment=name, code=error.code, error=said)

    async def copy_logs(self) -> None:
        """Copies what the pods printed since the last time."""
        for each, _idle in await self._wanted():
            try:
                await self._gatherer.gather(each.tenant, each.name, each.id)
            except (
                FuroshikiError,
                OSError,
            ) as error:  # the cluster is away, or the disk is full: the next look reads on
                _log.warning("logs_not_copied", deployment=each.name, error=str(error))

    async def _wanted(self) -> list[tuple[Deployment, bool]]:
        """Every deployment that a cluster is to have, and whether no job works for it."""
        async with self._db.read(EVERY_TENANT) as session:
            return [(each, idle) for each, idle in await not_over(session) if each.template.target.clustered]

    async def _remove_orphans(self, found: Sequence[Managed], wanted: set[str]) -> None:
        strangers = {each.release for each in found if each.registry not in ("", self._cluster.registry_url)}
        for each in found:
            if each.release in wanted:
                continue
            if each.release in strangers:
                self._tell_of_stranger(each)
                continue
            try:
                await finished(self._cluster.remove_release, each.release, run=each.run, seconds=_REMOVE_SECONDS)
            except FuroshikiError as error:
                _log.warning("orphan_not_removed", deployment=each.name, code=error.code, error=error.message)
            else:
                _log.warning("orphan_removed", tenant=each.tenant, deployment=each.name, run=each.run)
        self._strangers = strangers

    def _tell_of_stranger(self, found: Managed) -> None:
        """Once: another registry made it under our instance's name; or ours did, when pods reached it elsewhere."""
        if found.release not in self._strangers:
            _log.warning(
                "orphan_of_another_registry", tenant=found.tenant, deployment=found.name, registry=found.registry
            )

    async def _check(self, deployment: Deployment) -> None:
        if deployment.serving_revision is None:  # a job that was given up could not say so
            await self._repairer.repair(deployment)
            return
        drifted = await self._drifted(deployment)
        status = await asyncio.to_thread(self._cluster.status, deployment.tenant, deployment.name)
        await self._follow(deployment, status, clean=drifted == "")
        if drifted:
            await self._repairer.repair(deployment, drifted=drifted)

    async def _follow(self, deployment: Deployment, status: Status, *, clean: bool) -> None:
        """Says that nothing serves any more, or that what is wanted does again."""
        now, tenant = self._clock.now(), deployment.tenant
        answers, wrong = deployment.answers, deployment.error is not None
        lost = answers and status.ready == 0
        back = status.done and (not answers or (wrong and clean and deployment.serving_revision == deployment.revision))
        if not (lost or back):
            return
        async with self._db.write(tenant) as session:
            deployments = DeploymentRepository(session, tenant)
            told = HistoryRepository(session, tenant)
            if lost and await deployments.lose(deployment.id, now=now):
                await told.tell(deployment.id, HappeningKind.LOST, _why(status), at=now)
                _log.error("pods_lost", tenant=tenant, deployment=deployment.name, why=_why(status))
            elif back and await deployments.regain(deployment, now=now):
                message = f"Revision {deployment.goal} serves with {counted(status.ready, 'pod')} at {status.url}."
                await told.tell(deployment.id, HappeningKind.SERVING, message, at=now)

    async def _drifted(self, deployment: Deployment) -> str | None:
        """How its objects differ from what is wanted; "": they do not; None: it is not time to compare."""
        now, last = self._clock.monotonic(), self._compared.get(deployment.id)
        if last is not None and now < last + self._compare_seconds:
            return None
        wanted = await self._wishes.serving(deployment)
        if wanted is None:
            return None
        self._compared[deployment.id] = now  # also if it fails, so that it is not tried at each look
        found = await asyncio.to_thread(self._cluster.drift, wanted)
        return _told(found)


def _why(status: Status) -> str:
    if not status.found:
        return "The cluster has it no longer."
    trouble = status.trouble
    reason = "the cluster gives no reason" if trouble is None else f"{trouble.reason}: {trouble.message}"
    return f"No pod of {status.wanted} is ready: {reason}."


def _told(found: Sequence[Difference]) -> str:
    lines = [_difference(each) for each in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN} more")
    return "; ".join(lines)


def _difference(found: Difference) -> str:
    if not found.field:
        return f"{found.thing} is {'missing' if found.wanted else 'not wanted'}"
    there, wanted = found.found[:_SHOWN_CHARS] or "not set", found.wanted[:_SHOWN_CHARS] or "not set"
    return f"{found.thing} {found.field} is {there}; wanted: {wanted}"
