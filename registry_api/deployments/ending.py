# SPDX-License-Identifier: Apache-2.0
"""Ends instances and frees what they used but their logs.

Rules. An instance is marked as ending before anything of it is ended, and its row goes when nothing of it exists any more, so
that what is found gone without the mark was lost. Those of other machines are marked only: their own workers end them.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from core.clock import Clock
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.instances.repository import InstanceRepository, removed
from registry_api.deployments.logs import last_lines
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.target import log_folder
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import Deployment, Instance
from registry_api.deployments.wording import counted

KEPT_LOGS: Final = 8  # of ended instances of one deployment, on one machine
_ID: Final = re.compile("[0-9a-f]{32}")  # of a deployment
_SERVED: Final = ("bento", "image", "bentoml")  # in the folder of a run; the log stays


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
        message = f"The process of instance {instance.run} is gone. Its last lines:\n{lines}"
        if not await self.give_up(deployment, instance, HappeningKind.LOST, message):
            return False
        await asyncio.to_thread(self._end_now, deployment, instance)
        return True

    async def give_up(self, deployment: Deployment, instance: Instance, kind: HappeningKind, message: str) -> bool:
        """Counts on an instance no more, and says so; False if somebody else did, or it is not what it was.

        What runs of it is nobody's then: its machine ends it.
        """
        now = self._clock.now()
        async with self._db.write(deployment.tenant) as session:
            instances = InstanceRepository(session, deployment.tenant)
            if not await instances.forget(deployment.id, instance.run, state=instance.state):
                return False
            await HistoryRepository(session, deployment.tenant).tell(deployment.id, kind, message, at=now)
            left = await DeploymentRepository(session, deployment.tenant).by_id(deployment.id)
            if left is not None and not left.ready:
                await DeploymentRepository(session, deployment.tenant).lose(deployment.id, now=now)
        return True

    async def recognize(self, deployment: Deployment, running: Collection[str] | None = None) -> Deployment:
        """Takes over what runs here though its row names another machine: this one had that name before.

        Args:
            deployment: The deployment.
            running: What runs here; None: look.

        Returns:
            The deployment as it is then.
        """
        target = self._targets.present.get(deployment.template.target)
        elsewhere = [each for each in deployment.instances if each.host != self.host]
        if running is None:
            running = {} if target is None or not elsewhere else await asyncio.to_thread(target.runs)
        moved = [each for each in elsewhere if each.run in running]
        if not moved:
            return deployment
        async with self._db.write(deployment.tenant) as session:
            runs = [each.run for each in moved]
            await InstanceRepository(session, deployment.tenant).rehost(deployment.id, runs, self.host)
            names = ", ".join(sorted({each.host for each in moved}))
            message = f"Machine {names} is called {self.host} now; it runs {counted(len(moved), 'instance')}."
            history = HistoryRepository(session, deployment.tenant)
            await history.tell(deployment.id, HappeningKind.ADOPTED, message, at=self._clock.now())
        here = [replace(each, host=self.host) if each in moved else each for each in deployment.instances]
        return replace(deployment, instances=tuple(here))

    async def clear(self, deployment: Deployment, *, but: Iterable[str] = (), log: str | None = None) -> list[str]:
        """Ends whatever else runs of a deployment on this machine, and removes what it left but the newest logs.

        Args:
            deployment: The deployment. What its rows say to be on other machines goes on.
            but: Runs that go on.
            log: The run whose log stays in any case; None: of none but those.

        Returns:
            The other runs of which something ran.
        """
        elsewhere = [each.run for each in deployment.instances if each.host != self.host]
        return await asyncio.to_thread(self._clear, deployment, frozenset([*but, *elsewhere]), log)

    async def end_all(self, deployment_id: str) -> None:
        """Kills everything of a deployment on this machine and removes its folder."""
        for target in self._targets.present.values():
            await asyncio.to_thread(target.end_all, deployment_id)
        await asyncio.to_thread(shutil.rmtree, self.folder / deployment_id, ignore_errors=True)

    async def sweep(self) -> None:
        """Removes the folders of deployments that are no more, such as those that another machine's job replaced."""
        found = await asyncio.to_thread(
            lambda: [path.name for path in self.folder.glob("*") if _ID.fullmatch(path.name)]
        )
        async with self._db.read(EVERY_TENANT) as session:
            gone = await removed(session, found)  # after the folders: a row comes before its folder
        for name in gone:
            await asyncio.to_thread(shutil.rmtree, self.folder / name, ignore_errors=True)

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
        self.free(deployment.id, instance.run)

    def _clear(self, deployment: Deployment, known: frozenset[str], log: str | None) -> list[str]:
        target = self._targets.present.get(deployment.template.target)
        running = {} if target is None else target.runs()
        strange = [run for run, owner in running.items() if owner == deployment.id and run not in known]
        for run in strange:
            assert target is not None  # it told of the run
            target.end_run(run, None)
        ended = [path for path in (self.folder / deployment.id).glob("*") if path.name not in known]
        logs = {path: log_folder(self.folder, deployment.id, path.name) for path in ended}
        ended.sort(key=lambda path: (path.name == log, _modified(logs[path])), reverse=True)
        for path in ended[:KEPT_LOGS]:
            self.free(deployment.id, path.name)
        for path in ended[KEPT_LOGS:]:
            shutil.rmtree(path, ignore_errors=True)
        return strange

    def free(self, deployment_id: str, run: str) -> None:
        """Removes what an instance that has ended was made of; its log stays."""
        for name in _SERVED:
            shutil.rmtree(self.folder / deployment_id / run / name, ignore_errors=True)


def _modified(path: Path) -> float:
    """When something was last added to a folder; before everything if it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return -1.0
