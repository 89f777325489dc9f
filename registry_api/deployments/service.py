# SPDX-License-Identifier: Apache-2.0
"""Asks for deployments and their ends, and finds them, their history and their logs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from core.clock import Clock
from core.errors import Conflict, ErrorCode, InvalidRequest, NotFound
from registry_api.db.session import Database, Session
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import Happening, HappeningKind, Revision
from registry_api.deployments.logbook import instance_log
from registry_api.deployments.logs import LogPart
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.templates import Templates
from registry_api.deployments.values import Deployment, NewDeployment
from registry_api.deployments.wording import counted
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.jobs.interface import JobKind, NewJob
from registry_api.jobs.service import JobService
from registry_api.models.service import hold
from registry_api.tenancy.repository import lock_tenant


class DeploymentService:
    """The deployments of the caller's tenant; the work itself is the handlers'.

    Args:
        db: Where deployments are.
        clock: For times of records.
        templates: What may be deployed.
        jobs: Who starts and ends.
        folder: Where deployments live on this machine.
        replicas: The most instances of one deployment.
    """

    def __init__(
        self, db: Database, clock: Clock, *, templates: Templates, jobs: JobService, folder: Path, replicas: int
    ) -> None:
        self._db = db
        self._clock = clock
        self._templates = templates
        self._jobs = jobs
        self._folder = folder
        self._replicas = replicas

    async def create(self, caller: Principal, new: NewDeployment) -> Deployment:
        """Asks for a deployment. One of the same name that has stopped or failed is replaced.

        Raises:
            NotFound: ``BUILD_001`` or ``IMAGE_008`` if there is no such build or image.
            ModelError: ``MODEL_001`` if the version inside it was deleted.
            Conflict: ``STATE_001`` if the build or image has not succeeded, ``STATE_002`` if the name is in use.
            InvalidRequest: ``VALID_002`` if that many instances are not allowed, or an open one in a cluster.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        template, source = await self._templates.of_new(new)
        check_replicas(new.replicas, self._replicas)
        deployment_id, now = uuid4().hex, self._clock.now()
        async with self._db.write(new.tenant) as session:
            await lock_tenant(session, new.tenant)
            await hold(session, source)
            deployments = DeploymentRepository(session, new.tenant)
            old = await deployments.get(new.name)
            if old is not None:
                _refuse_active(old)
                await deployments.remove(old.id)
            spec = {"deployment": deployment_id, "replaces": None if old is None else old.id}
            job = await self._jobs.enqueue(session, NewJob(tenant=new.tenant, kind=JobKind.DEPLOY, spec=spec))
            made = await deployments.add(deployment_id, new.name, template, job, replicas=new.replicas, now=now)
            history = HistoryRepository(session, new.tenant)
            revision = Revision(number=1, template=template, reason="", created_by=caller.name, created_at=now)
            await history.revise(made.id, revision)
            message = f"{caller.name!r} wants {counted(new.replicas, 'instance')}."
            await history.tell(made.id, HappeningKind.CREATED, message, at=now)
            return made

    async def get(self, tenant: str, name: str) -> Deployment:
        """One deployment.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name.
        """
        async with self._db.read(tenant) as session:
            return await found_deployment(session, tenant, name)

    async def page(self, tenant: str, request: PageRequest) -> Listing[Deployment]:
        """Deployments, newest first."""
        async with self._db.read(tenant) as session:
            return await DeploymentRepository(session, tenant).page(request)

    async def revisions(self, tenant: str, name: str, request: PageRequest) -> Listing[Revision]:
        """What was wanted of a deployment, newest first.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name.
        """
        async with self._db.read(tenant) as session:
            deployment = await found_deployment(session, tenant, name)
            return await HistoryRepository(session, tenant).revisions(deployment.id, request)

    async def happenings(self, tenant: str, name: str, request: PageRequest) -> Listing[Happening]:
        """What happened to a deployment, newest first.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name.
        """
        async with self._db.read(tenant) as session:
            deployment = await found_deployment(session, tenant, name)
            return await HistoryRepository(session, tenant).happenings(deployment.id, request)

    async def stop(self, tenant: str, name: str) -> Deployment:
        """Asks for a deployment's end; one that has ended, or is about to, stays as it is.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name.
        """
        async with self._db.write(tenant) as session:
            await lock_tenant(session, tenant)
            deployment = await found_deployment(session, tenant, name)
            if deployment.state.over or deployment.state is DeploymentState.STOPPING:
                return deployment
            spec = {"deployment": deployment.id, "after": deployment.job_id}
            job = await self._jobs.enqueue(session, NewJob(tenant=tenant, kind=JobKind.STOP, spec=spec))
            await DeploymentRepository(session, tenant).stop(deployment.id, job, now=self._clock.now())
            await self._jobs.cancel_within(session, tenant, deployment.job_id)  # a start under way
        return await self.get(tenant, name)

    async def log(self, tenant: str, name: str, *, instance: str | None, offset: int) -> LogPart:
        """At most 1 MiB of what one instance wrote, from ``offset`` (bytes) on; it may have ended since.

        Args:
            tenant: Whose deployment.
            name: The deployment.
            instance: Which one; None: the one that is shown first.
            offset: Bytes from the beginning.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name, or no log of that instance is kept.
            Unavailable: ``DEVICE_001`` if another machine or a cluster keeps its log.
        """
        deployment = await self.get(tenant, name)
        return await asyncio.to_thread(instance_log, self._folder, deployment, instance, offset=offset)


def check_replicas(replicas: int | None, most: int) -> None:
    """Checks that so many instances are allowed; None: as many as there are.

    Raises:
        InvalidRequest: ``VALID_002`` if they are not.
    """
    if replicas is not None and replicas > most:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Field 'replicas' is {replicas}; expected at most {most} (FUROSHIKI_LIMITS__REPLICAS).",
        )


def raise_no_deployment(name: str) -> NoReturn:
    """Says that the tenant has no such deployment.

    Raises:
        NotFound: ``DEPLOY_001``.
    """
    raise NotFound(ErrorCode.DEPLOYMENT_NOT_FOUND, f"There is no deployment {name[:64]!r}.")


async def found_deployment(session: Session, tenant: str, name: str) -> Deployment:
    """One deployment, inside a transaction.

    Raises:
        NotFound: ``DEPLOY_001`` if the tenant has none of that name.
    """
    deployment = await DeploymentRepository(session, tenant).get(name)
    if deployment is None:
        raise_no_deployment(name)
    return deployment


def _refuse_active(deployment: Deployment) -> None:
    if not deployment.state.over:
        raise Conflict(
            ErrorCode.RESOURCE_EXISTS,
            f"Deployment {deployment.name!r} is {deployment.state}. Change or stop it, or choose another name.",
            details={"deployment": deployment.name, "state": deployment.state},
        )
