# SPDX-License-Identifier: Apache-2.0
"""Finds deployments whose process is gone and says so. Nothing is started again by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from core.clock import Clock
from core.errors import ErrorCode
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.deployments.logs import last_lines
from registry_api.deployments.repository import DeploymentRepository, running_on
from registry_api.deployments.target import Target, log_folder
from registry_api.deployments.values import Deployment
from registry_api.jobs.interface import Fault

_log = get_logger(__name__)


class DeploymentWatch:
    """Looks after the running deployments of one machine.

    Args:
        db: Where deployments are.
        clock: For times of records.
        target: Knows processes.
        folder: Where deployments live.
        host: This machine.
    """

    def __init__(self, db: Database, clock: Clock, *, target: Target, folder: Path, host: str) -> None:
        self._db = db
        self._clock = clock
        self._target = target
        self._folder = folder
        self._host = host

    async def run(self, *, every: float) -> None:
        """Looks now and then every ``every`` seconds, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # the database may be away for a while; the watch outlives that
                _log.warning("watch_failed", error=str(error))
            await asyncio.sleep(every)

    async def look(self) -> None:
        """Marks each running deployment without a process as failed, and ends what is left of it."""
        async with self._db.read(EVERY_TENANT) as session:
            running = await running_on(session, self._host)
        for deployment in running:
            await self._check(deployment)

    async def _check(self, deployment: Deployment) -> None:
        place = deployment.place
        if place is None or place.pid is None:
            return
        if await asyncio.to_thread(self._target.alive, place.run, place.pid):
            return
        logs = log_folder(self._folder, deployment.id, place.run)
        lines = await asyncio.to_thread(last_lines, logs)
        fault = Fault(code=ErrorCode.JOB_FAILED, message=f"The deployment's process is gone. Its last lines:\n{lines}")
        async with self._db.write(deployment.tenant) as session:
            deployments = DeploymentRepository(session, deployment.tenant)
            failed = await deployments.fail(deployment.id, fault, now=self._clock.now(), run=place.run)
        if failed:
            await asyncio.to_thread(self._target.end_run, place.run, None)
            _log.error("deployment_lost", tenant=deployment.tenant, deployment=deployment.name, pid=place.pid)
