# SPDX-License-Identifier: Apache-2.0
"""The work of a deploy job: fetch, verify, start, prove ready by a real inference.

Guarantees. Nothing of a Bento is executed before every file of it was verified. A deployment is shown as running only
after it answered. Whatever an earlier attempt left running is ended first, and what this attempt started is ended
unless it succeeds, so a worker killed at any moment leaves nothing behind once the job was run again.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from artifacts.keys.interface import TrustProvider
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import Conflict, ErrorCode
from core.tensors import TensorSpec
from registry_api.builds.repository import BuildRepository
from registry_api.builds.service import finished
from registry_api.builds.values import Build
from registry_api.db.session import Database, Session
from registry_api.deployments.fetch import fetch_bento, model_inputs
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.service import raise_no_deployment
from registry_api.deployments.starting import Starter, Starting
from registry_api.deployments.target import Launch, Target
from registry_api.deployments.values import Deployment, Place
from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """Where deployments live and how long one may take."""

    folder: Path
    timeout_seconds: float = 600.0  # of the whole job
    host: str = socket.gethostname()


class DeployHandler:
    """Runs deploy jobs for the target ``process``.

    Args:
        db: Where deployments and builds are.
        store: Where Bentos are.
        trust: Tells whom a tenant trusts.
        clock: For times of records and of validity.
        starter: Starts processes and proves them ready.
        target: Ends processes.
        options: Folders and limits.
    """

    kind = JobKind.DEPLOY

    def __init__(
        self,
        db: Database,
        store: BlobStore,
        trust: TrustProvider,
        clock: Clock,
        *,
        starter: Starter,
        target: Target,
        options: DeployOptions,
    ) -> None:
        self._db = db
        self._store = store
        self._trust = trust
        self._clock = clock
        self._starter = starter
        self._target = target
        self._options = options
        self.timeout = options.timeout_seconds

    async def run(self, task: JobTask) -> Outcome:
        """Starts the deployment and proves it ready."""
        deployment, build = await self._load(task.job)
        task.progress(0.05, "ending what an earlier attempt left")
        await asyncio.to_thread(self._clear, task.job)
        launch = await self._begin(deployment)
        task.progress(0.1, "verifying the Bento")
        inputs = await self._fetch(build, launch, task)
        started = await self._starter.start(Starting(deployment=deployment, launch=launch, inputs=inputs), task)
        place = Place(host=self._options.host, run=launch.run, url=started.url, pid=started.pid)

        async def apply(session: Session) -> None:
            deployments = DeploymentRepository(session, deployment.tenant)
            if not await deployments.ready(deployment.id, place, now=self._clock.now()):
                raise Conflict(ErrorCode.STATE_CONFLICT, f"Deployment {deployment.name!r} was stopped meanwhile.")

        return Outcome(result={"url": started.url, "pid": started.pid}, apply=apply)

    async def abandon(self, job: Job, fault: Fault) -> Apply | None:
        """Ends whatever runs and writes why the deployment failed, unless somebody stops it already."""
        deployment_id = str(job.spec["deployment"])
        await asyncio.to_thread(self._target.end_all, deployment_id)

        async def apply(session: Session) -> None:
            await DeploymentRepository(session, job.tenant).fail(deployment_id, fault, now=self._clock.now())

        return apply

    async def _load(self, job: Job) -> tuple[Deployment, Build]:
        deployment_id = str(job.spec["deployment"])
        async with self._db.read(job.tenant) as session:
            deployment = await DeploymentRepository(session, job.tenant).by_id(deployment_id)
            if deployment is None:
                raise_no_deployment(deployment_id)
            return deployment, await BuildRepository(session, job.tenant).get(deployment.build_id)

    def _clear(self, job: Job) -> None:
        for name in (job.spec["deployment"], job.spec["replaces"]):
            if name is not None:
                self._target.end_all(str(name))
                shutil.rmtree(self._options.folder / str(name), ignore_errors=True)

    async def _begin(self, deployment: Deployment) -> Launch:
        run = uuid4().hex
        folder = self._options.folder / deployment.id / run
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
        place = Place(host=self._options.host, run=run)
        async with self._db.write(deployment.tenant) as session:
            deployments = DeploymentRepository(session, deployment.tenant)
            if not await deployments.begin(deployment.id, place, now=self._clock.now()):
                raise Conflict(ErrorCode.STATE_CONFLICT, f"Deployment {deployment.name!r} is not to be started.")
        return Launch(deployment_id=deployment.id, run=run, folder=folder, auth=deployment.auth)

    async def _fetch(self, build: Build, launch: Launch, task: JobTask) -> tuple[TensorSpec, ...]:
        policy = await asyncio.to_thread(self._trust.policy, build.source.tenant)
        verifier = BundleVerifier(policy, self._clock)
        bento = await fetch_bento(self._store, verifier, build.source, finished(build), launch.bento)
        task.log(f"verified Bento {bento.digest}, signed by {bento.key_id}")
        return await asyncio.to_thread(model_inputs, bento, launch.bento)
