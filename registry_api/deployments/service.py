# SPDX-License-Identifier: Apache-2.0
"""Asks for deployments and their ends, and finds them and their logs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, NoReturn
from uuid import uuid4

from core.clock import Clock
from core.errors import Conflict, ErrorCode, NotFound
from registry_api.builds.service import BuildService, finished
from registry_api.db.session import Database
from registry_api.deployments.logs import LogPart, read_log
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.target import log_folder
from registry_api.deployments.values import Deployment, NewDeployment
from registry_api.http.pagination import Listing, PageRequest
from registry_api.jobs.interface import JobKind, NewJob
from registry_api.jobs.service import JobService
from registry_api.models.service import hold

_READ_BYTES: Final = 1 << 20


class DeploymentService:
    """The deployments of the caller's tenant; the work itself is the handlers'.

    Args:
        db: Where deployments are.
        clock: For times of records.
        builds: What may be deployed.
        jobs: Who starts and ends.
        folder: Where deployments live on this machine.
    """

    def __init__(self, db: Database, clock: Clock, *, builds: BuildService, jobs: JobService, folder: Path) -> None:
        self._db = db
        self._clock = clock
        self._builds = builds
        self._jobs = jobs
        self._folder = folder

    async def create(self, new: NewDeployment) -> Deployment:
        """Asks for a deployment. One of the same name that has stopped or failed is replaced.

        Raises:
            NotFound: ``BUILD_001`` if there is no such build.
            ModelError: ``MODEL_001`` if the version inside it was deleted.
            Conflict: ``STATE_001`` if the build has not succeeded, ``STATE_002`` if the name is in use.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        build = await self._builds.get(new.tenant, new.build_id)
        bento = finished(build)
        deployment_id = uuid4().hex
        source = build.source
        async with self._db.write(new.tenant) as session:
            await hold(session, source)
            deployments = DeploymentRepository(session, new.tenant)
            old = await deployments.get(new.name)
            if old is not None:
                _refuse_active(old)
                await deployments.remove(old.id)
            spec = {"deployment": deployment_id, "replaces": None if old is None else old.id}
            job = await self._jobs.enqueue(session, NewJob(tenant=new.tenant, kind=JobKind.DEPLOY, spec=spec))
            return await deployments.add(deployment_id, new, source, bento, job, now=self._clock.now())

    async def get(self, tenant: str, name: str) -> Deployment:
        """One deployment.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name.
        """
        async with self._db.read(tenant) as session:
            deployment = await DeploymentRepository(session, tenant).get(name)
        if deployment is None:
            raise_no_deployment(name)
        return deployment

    async def page(self, tenant: str, request: PageRequest) -> Listing[Deployment]:
        """Deployments, newest first."""
        async with self._db.read(tenant) as session:
            return await DeploymentRepository(session, tenant).page(request)

    async def stop(self, tenant: str, name: str) -> Deployment:
        """Asks for a deployment's end; one that has ended, or is about to, stays as it is.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name.
        """
        async with self._db.write(tenant) as session:
            deployments = DeploymentRepository(session, tenant)
            deployment = await deployments.get(name)
            if deployment is None:
                raise_no_deployment(name)
            if deployment.state.over or deployment.state is DeploymentState.STOPPING:
                return deployment
            spec = {"deployment": deployment.id, "after": deployment.job_id}
            job = await self._jobs.enqueue(session, NewJob(tenant=tenant, kind=JobKind.STOP, spec=spec))
            await deployments.stop(deployment.id, job, now=self._clock.now())
            await self._jobs.cancel_within(session, tenant, deployment.job_id)  # a start under way
        return await self.get(tenant, name)

    async def log(self, tenant: str, name: str, *, offset: int) -> LogPart:
        """At most 1 MiB of what the deployment wrote, from ``offset`` (bytes) on.

        Raises:
            NotFound: ``DEPLOY_001`` if the tenant has none of that name.
        """
        deployment = await self.get(tenant, name)
        if deployment.place is None:
            return LogPart(data=b"", start=0, size=0)
        folder = log_folder(self._folder, deployment.id, deployment.place.run)
        return await asyncio.to_thread(read_log, folder, offset=offset, limit=_READ_BYTES)


def raise_no_deployment(name: str) -> NoReturn:
    """Says that the tenant has no such deployment.

    Raises:
        NotFound: ``DEPLOY_001``.
    """
    raise NotFound(ErrorCode.DEPLOYMENT_NOT_FOUND, f"There is no deployment {name[:64]!r}.")


def _refuse_active(deployment: Deployment) -> None:
    if not deployment.state.over:
        raise Conflict(
            ErrorCode.RESOURCE_EXISTS,
            f"Deployment {deployment.name!r} is {deployment.state}. Stop it first, or choose another name.",
            details={"deployment": deployment.name, "state": deployment.state},
        )
