# SPDX-License-Identifier: Apache-2.0
"""Asks for changes of deployments.

A change writes what is wanted and the job that makes it so, in one transaction; a job under way for what was wanted before is
cancelled, and the new one waits for its end.
"""

from __future__ import annotations

from typing import Final

from core.clock import Clock
from core.errors import Conflict, ErrorCode
from registry_api.db.session import Database, Session
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.schemas import DeploymentOut
from registry_api.deployments.service import check_replicas, found_deployment
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.templates import Templates
from registry_api.deployments.values import Change, Deployment, Template
from registry_api.deployments.wording import counted
from registry_api.http.auth import Principal
from registry_api.http.etags import NO_PRECONDITION, Precondition
from registry_api.jobs.interface import JobKind, NewJob
from registry_api.jobs.service import JobService
from registry_api.models.service import hold
from registry_api.tenancy.repository import lock_tenant

_CHANGEABLE: Final = frozenset(set(DeploymentState) - {DeploymentState.STOPPING, DeploymentState.STOPPED})


class DeploymentChanges:
    """Changes of the caller's tenant's deployments; the work itself is the handler's.

    Args:
        db: Where deployments are.
        clock: For times of records.
        templates: What may be deployed.
        jobs: Who makes it so.
        replicas: The most instances of one deployment.
    """

    def __init__(self, db: Database, clock: Clock, *, templates: Templates, jobs: JobService, replicas: int) -> None:
        self._db = db
        self._clock = clock
        self._templates = templates
        self._jobs = jobs
        self._replicas = replicas

    async def change(
        self, caller: Principal, name: str, change: Change, match: Precondition = NO_PRECONDITION
    ) -> Deployment:
        """Asks for another build or image, other limits, another number of instances. What serves does so until then.

        Asking for what is wanted already does nothing, unless that has failed: then it is tried again.

        Raises:
            NotFound: ``DEPLOY_001``, ``BUILD_001`` or ``IMAGE_008`` if there is no such thing.
            Conflict: ``STATE_001`` if the deployment has stopped, or is of the other target; ``STATE_003`` if it is not
                as ``match`` says.
            InvalidRequest: ``VALID_002`` if that many instances are not allowed, or an open one in a cluster.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        before = await self._get(caller, name)
        wanted = await self._templates.changed(before, change)
        check_replicas(change.replicas, self._replicas)
        return await self._want(caller, before, wanted, replicas=change.replicas, match=match, reason="")

    async def roll_back(
        self, caller: Principal, name: str, *, revision: int | None, reason: str, match: Precondition = NO_PRECONDITION
    ) -> Deployment:
        """Asks for what an earlier revision was; the number of instances stays.

        Args:
            caller: Who asks.
            name: The deployment.
            revision: Which one; None: after an update that failed what serves, else the one before.
            reason: Why, for the history.
            match: What the caller thinks it is like.

        Raises:
            NotFound: ``DEPLOY_001`` if there is no such deployment, ``BUILD_001`` or ``IMAGE_008`` if what it was made of
                is gone.
            Conflict: ``STATE_001`` if there is no such revision or the deployment has stopped, ``STATE_003`` if it is not
                as ``match`` says.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        before = await self._get(caller, name)
        number = revision or (before.goal if before.goal != before.revision else before.revision - 1)
        async with self._db.read(caller.tenant) as session:
            found = await HistoryRepository(session, caller.tenant).revision(before.id, number)
        if found is None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"Deployment {name!r} has no revision {number} to go back to. Look at its revisions.",
                details={"revision": number},
            )
        why = reason or f"back to revision {number}"
        return await self._want(caller, before, found.template, replicas=None, match=match, reason=why)

    async def _want(
        self,
        caller: Principal,
        seen: Deployment,
        wanted: Template,
        *,
        replicas: int | None,
        match: Precondition,
        reason: str,
    ) -> Deployment:
        """Writes what is wanted from now on.

        Args:
            caller: Who wants it.
            seen: The deployment that ``wanted`` was made from.
            wanted: What instances are to be made of.
            replicas: How many; None: as many as now.
            match: What the caller thinks it is like.
            reason: Of a rollback; "" for any other change.
        """
        source = await self._templates.source(caller.tenant, wanted)
        async with self._db.write(caller.tenant) as session:
            await lock_tenant(session, caller.tenant)
            await hold(session, source)
            before = await found_deployment(session, caller.tenant, seen.name)
            match.check(DeploymentOut.of(before))
            _refuse_ended(before)
            if before.revision != seen.revision:
                raise _changed_meanwhile(seen)
            replicas = replicas or before.replicas
            if (wanted, replicas, before.error) == (before.template, before.replicas, None):
                return before
            if not await self._write(session, caller, before, wanted, replicas=replicas, reason=reason):
                raise _changed_meanwhile(seen)
            return await found_deployment(session, caller.tenant, seen.name)

    async def _write(
        self, session: Session, caller: Principal, before: Deployment, wanted: Template, *, replicas: int, reason: str
    ) -> bool:
        """Writes the wish and its job; False if another change came first."""
        now, number = self._clock.now(), before.revision
        history = HistoryRepository(session, before.tenant)
        if wanted != before.template:
            number += 1
            revision = Revision(number=number, template=wanted, reason=reason, created_by=caller.name, created_at=now)
            await history.revise(before.id, revision)
        spec = {"deployment": before.id, "after": before.job_id}
        job = await self._jobs.enqueue(session, NewJob(tenant=before.tenant, kind=JobKind.DEPLOY, spec=spec))
        await self._jobs.cancel_within(session, before.tenant, before.job_id)
        kind, message = _told(caller.name, before, number, replicas, reason)
        await history.tell(before.id, kind, message, at=now)
        deployments = DeploymentRepository(session, before.tenant)
        return await deployments.want(before, wanted, job, revision=number, replicas=replicas, now=now)

    async def _get(self, caller: Principal, name: str) -> Deployment:
        async with self._db.read(caller.tenant) as session:
            return await found_deployment(session, caller.tenant, name)


def _changed_meanwhile(deployment: Deployment) -> Conflict:
    return Conflict(ErrorCode.STATE_CONFLICT, f"Deployment {deployment.name!r} was changed meanwhile. Try again.")


def _told(who: str, before: Deployment, number: int, replicas: int, reason: str) -> tuple[HappeningKind, str]:
    if replicas != before.replicas:
        return HappeningKind.SCALED, f"{who!r} wants {counted(replicas, 'instance')} instead of {before.replicas}."
    if reason:
        return HappeningKind.ROLLED_BACK, f"{who!r} wants revision {number}: {reason}."
    again = "again" if number == before.revision else f"instead of {before.revision}"
    return HappeningKind.UPDATED, f"{who!r} wants revision {number} {again}."


def _refuse_ended(deployment: Deployment) -> None:
    if deployment.state not in _CHANGEABLE:
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"Deployment {deployment.name!r} is {deployment.state}. Deploy it again instead.",
            details={"deployment": deployment.name, "state": deployment.state},
        )
