# SPDX-License-Identifier: Apache-2.0
"""What becomes of instances on machines that are not heard of.

Rules. Nobody can tell a dead machine from a cut network, so nothing here relies on an end: what is wanted is started
elsewhere, and a machine that comes back ends what no row names any more. Of a deployment that is to stop, rows stay: they
show which machine must still end what, and let it. What is seen to run here is here, whatever this machine was called.
"""

from __future__ import annotations

from collections.abc import Collection

from core.telemetry.logs import get_logger
from registry_api.deployments.ending import Ender
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.machines.presence import Presence
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import Deployment, Instance, InstanceState

_log = get_logger(__name__)


class Absences:
    """Gives up instances of silent machines.

    Args:
        presence: Tells which machines are silent.
        ender: Counts on instances no more.
    """

    def __init__(self, presence: Presence, ender: Ender) -> None:
        self._presence = presence
        self._ender = ender

    async def settle(self, deployment: Deployment, running: Collection[str], *, idle: bool) -> Deployment:
        """Gives up what is on silent machines.

        Args:
            deployment: As it was seen.
            running: The runs that are seen to run here.
            idle: Whether its job has ended; while one is at work, what is being started is its business.

        Returns:
            The deployment, with what was found to run here.
        """
        if not any(self._absent(each) for each in deployment.instances):
            return deployment
        deployment = await self._ender.recognize(deployment, running)
        if deployment.state.over or deployment.state is DeploymentState.STOPPING:
            return deployment
        for each in deployment.instances:
            if self._absent(each) and (idle or each.state is not InstanceState.STARTING):
                await self._give_up(deployment, each)
        return deployment

    def _absent(self, instance: Instance) -> bool:
        return instance.host in self._presence.silent

    async def _give_up(self, deployment: Deployment, instance: Instance) -> None:
        lost = instance.state is InstanceState.READY
        kind, counts = (HappeningKind.LOST, "is lost") if lost else (HappeningKind.ENDED, "is not waited for")
        told = self._presence.told(instance.host)
        message = f"{told}: instance {instance.run} {counts}. The machine ends it when it is back."
        if await self._ender.give_up(deployment, instance, kind, message):
            _log.error("instance_given_up", tenant=deployment.tenant, deployment=deployment.name, why=message)
