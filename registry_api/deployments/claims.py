# SPDX-License-Identifier: Apache-2.0
"""Whether a deployment is still the work of a job: asked before each step that others could have overtaken."""

from __future__ import annotations

from typing import Final

from core.errors import Conflict, ErrorCode
from registry_api.db.session import Database
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import Deployment
from registry_api.jobs.interface import Job

_TO_RUN: Final = frozenset({DeploymentState.PENDING, DeploymentState.STARTING, DeploymentState.RUNNING})


class Claims:
    """Reads the deployments that jobs name.

    Args:
        db: Where deployments are.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def load(self, job: Job) -> Deployment | None:
        """The deployment of a job, whoever works for it; None if its row is gone."""
        async with self._db.read(job.tenant) as session:
            return await DeploymentRepository(session, job.tenant).by_id(str(job.spec["deployment"]))

    async def held(self, job: Job) -> Deployment | None:
        """The deployment as it is now; None if it is not to run any more, or another job works for it."""
        deployment = await self.load(job)
        if deployment is None or deployment.job_id != job.id or deployment.state not in _TO_RUN:
            return None
        return deployment

    async def own(self, job: Job) -> Deployment:
        """As :meth:`held`.

        Raises:
            Conflict: ``STATE_001`` where that says None.
        """
        deployment = await self.held(job)
        if deployment is None:
            raise Conflict(ErrorCode.STATE_CONFLICT, "The deployment was stopped or changed meanwhile.")
        return deployment
