# SPDX-License-Identifier: Apache-2.0
"""Ends instances and frees what they used but their logs.

Rules. An instance is marked as ending before anything of it is ended, and its row goes when nothing of it exists any more, so
that what is found gone without the mark was lost. Those of other machines are marked only: their own workers end them.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from core.clock import Clock
from registry_api.db.session import Database
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.instances.repository import InstanceRepository
from registry_api.deployments.logs import last_lines
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.target import log_folder
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import Deployment, Instance, InstanceState

_SERVED = ("bento", "image", "bentoml")  # in the folder of a run; the log stays


class Ender:
    """Ends what runs on this machine.

    Args:
        db: Where deployments are.
        clock: For times of records.
        targets: End processes.
        folder: Where deployments live.
        host: This machine.
    """

    def __init__(self, db: Database, clock: Clock, *, targets: Targets, folder: Path, host: str) -> None:
        self._db = db
        self._clock = clock
        self._targets = targets
        self.folder = folder
        self.host = host

    async def end(self, deployment: Deployment, instances: Sequence[Instance], *, why: str) -> None:
        """Ends instances; returns when those of this machine have ended."""
        if not instances:
            return
        async with self._db.write(deployment.tenant) as session:
            runs = [each.run for each in instances]
            await InstanceRepository(session, deployment.tenant).ending(deployment.id, runs)
        here = [each for each in instances if each.host == self.host]
        await asyncio.gather(*(self._end(deployment, each, why) for each in here))

    async def lost(self, deployment: Deployment, instance: Instance) -> bool:
        """An instance is gone without anybody's wish: ends what is left of it and says so; False if it was wished."""
        logs = log_folder(self.folder, deployment.id, instance.run)
        lines = await asyncio.to_thread(last_lines, logs)
        now = self._clock.now()
        async with self._db.write(deployment.tenant) as session:
            instances = InstanceRepository(session, deployment.tenant)
            if not await instances.forget(deployment.id, instance.run, state=InstanceState.READY):
                return False
            message = f"The process of instance {instance.run} is gone. Its last lines:\n{lines}"
            await HistoryRepository(session, deployment.tenant).tell(deployment.id, HappeningKind.LOST, message, at=now)
            left = await DeploymentRepository(session, deployment.tenant).by_id(deployment.id)
            if left is not None and not left.ready:
                await DeploymentRepository(session, deployment.tenant).lose(deployment.id, now=now)
        await asyncio.to_thread(self._end_now, deployment, instance)
        return True

    async def clear(self, deployment: Deployment, *, but: Iterable[str] = (), log: str | None = None) -> list[str]:
        """Ends whatever else runs of a deployment on this machine, and removes what it left.

        Args:
            deployment: The deployment.
            but: Runs that go on.
            log: The run whose log stays; None: of none but those.

        Returns:
            The other runs of which something ran.
        """
        return await asyncio.to_thread(self._clear, deployment, frozenset(but), log)

    async def end_all(self, deployment_id: str) -> None:
        """Kills everything of a deployment on this machine and removes its folder."""
        for target in self._targets.present.values():
            await asyncio.to_thread(target.end_all, deployment_id)
        await asyncio.to_thread(shutil.rmtree, self.folder / deployment_id, ignore_errors=True)

    async def _end(self, deployment: Deployment, instance: Instance, why: str) -> None:
        await asyncio.to_thread(self._end_now, deployment, instance)
        async with self._db.write(deployment.tenant) as session:
            if await InstanceRepository(session, deployment.tenant).forget(deployment.id, instance.run):
                message = f"Instance {instance.run} of revision {instance.revision} ended: {why}."
                history = HistoryRepository(session, deployment.tenant)
                await history.tell(deployment.id, HappeningKind.ENDED, message, at=self._clock.now())

    def _end_now(self, deployment: Deployment, instance: Instance) -> None:
        target = self._targets.present.get(deployment.template.target)
        if target is not None:
            target.end_run(instance.run, instance.pid)
        self._free(self.folder / deployment.id / instance.run)

    def _clear(self, deployment: Deployment, known: frozenset[str], log: str | None) -> list[str]:
        target = self._targets.present.get(deployment.template.target)
        running = {} if target is None else target.runs()
        strange = [run for run, owner in running.items() if owner == deployment.id and run not in known]
        for run in strange:
            assert target is not None  # it told of the run
            target.end_run(run, None)
        for folder in (self.folder / deployment.id).glob("*"):
            if folder.name not in known and folder.name != log:
                shutil.rmtree(folder, ignore_errors=True)
            elif folder.name not in known:
                self._free(folder)
        return strange

    @staticmethod
    def _free(folder: Path) -> None:
        for name in _SERVED:
            shutil.rmtree(folder / name, ignore_errors=True)
