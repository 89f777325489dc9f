# SPDX-License-Identifier: Apache-2.0
"""Has a deployment repaired that is not as wanted: by a deploy job, at most one at a time whoever asks, and not for ever.

How often and how soon is :mod:`registry_api.deployments.restarts`.
"""

from __future__ import annotations

from core.clock import Clock
from core.errors import Conflict, ErrorCode
from core.telemetry.logs import get_logger
from registry_api.db.session import Database, Session
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.restarts import RestartPolicy, Verdict
from registry_api.deployments.values import Deployment
from registry_api.jobs.interface import Fault, JobKind, NewJob
from registry_api.jobs.service import JobService

_log = get_logger(__name__)


class Repairer:
    """Asks for repairs.

    Args:
        db: Where deployments are.
        clock: For times of records.
        jobs: Who repairs.
        restarts: How patient to be.
    """

    def __init__(self, db: Database, clock: Clock, *, jobs: JobService, restarts: RestartPolicy) -> None:
        self._db = db
        self._clock = clock
        self._jobs = jobs
        self._restarts = restarts

    async def repair(self, seen: Deployment, *, drifted: str = "") -> None:
        """Has it repaired, waits, or gives it up; nothing if it is as wanted by now.

        Args:
            seen: As it was when it was looked at, its job ended.
            drifted: What its row does not show; "": nothing.

        Raises:
            Conflict: ``STATE_001`` if somebody else asked first.
        """
        now = self._clock.now()
        async with self._db.write(seen.tenant) as session:
            deployments = DeploymentRepository(session, seen.tenant)
            history = HistoryRepository(session, seen.tenant)
            deployment = await deployments.by_id(seen.id)
            if deployment is None or deployment.job_id != seen.job_id or deployment.state.over:
                return
            if deployment.settled and not drifted:
                return
            since = now - self._restarts.window
            times = await history.times(seen.id, HappeningKind.RESTARTED, since=since)
            match self._restarts.verdict(times, now):
                case Verdict.NOW:
                    await self._restart(session, deployment, drifted)
                case Verdict.GIVE_UP if not deployment.answers:
                    fault = await self._crash_loop(history, seen.id, len(times))
                    await deployments.fail(seen.id, fault, now=now)
                    await history.tell(seen.id, HappeningKind.FAILED, fault.message, at=now)

    async def _restart(self, session: Session, deployment: Deployment, drifted: str) -> None:
        spec = {"deployment": deployment.id, "reason": "repair"}
        job = await self._jobs.enqueue(session, NewJob(tenant=deployment.tenant, kind=JobKind.DEPLOY, spec=spec))
        if not await DeploymentRepository(session, deployment.tenant).assign(deployment, job):
            raise Conflict(ErrorCode.STATE_CONFLICT, "Another worker found it first.")  # takes the job back
        message = drifted or "; ".join(deployment.drift) or "It is not as wanted."
        history, now = HistoryRepository(session, deployment.tenant), self._clock.now()
        if drifted:
            await history.tell(deployment.id, HappeningKind.DRIFTED, drifted, at=now)
        await history.tell(deployment.id, HappeningKind.RESTARTED, message, at=now)
        _log.warning("deployment_not_as_wanted", tenant=deployment.tenant, deployment=deployment.name, found=message)

    async def _crash_loop(self, history: HistoryRepository, deployment_id: str, restarts: int) -> Fault:
        last = await history.last(deployment_id, HappeningKind.LOST, HappeningKind.FAULT)
        message = (
            f"The deployment was started again {restarts} times within {self._restarts.window_seconds:g} s and did not stay. "
            f"Change it, roll it back, or deploy it again. {last}"
        )
        return Fault(code=ErrorCode.JOB_FAILED, message=message.rstrip())
