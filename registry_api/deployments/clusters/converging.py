# SPDX-License-Identifier: Apache-2.0
"""Converges deployments whose pods a cluster keeps. Implements :class:`registry_api.deployments.converger.Converger`.

1. The image is brought here and verified. What does not verify is not pushed and not applied.
2. It is pushed, by digest, to where the cluster pulls from.
3. All objects are applied, or none. Each carries the job's id: so what jobs brought can be told from what served before.
4. When every wanted pod is ready, and no other is left, one write says that the revision serves.

Ready is what the pods' own readiness probes say: a worker can usually not reach a Service inside the cluster, so there is no
proving inference. A job that fails after it applied applies again what served before, or removes what never served. If the
cluster is away then, the watch does so later.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from artifacts.oci.blobs import room_on_disk
from artifacts.stores.threads import finished
from core.clock import Clock
from core.errors import Conflict, ErrorCode, FuroshikiError
from core.telemetry.logs import get_logger
from registry_api.db.session import Database
from registry_api.deployments.claims import Claims
from registry_api.deployments.clusters.calls import until_ready
from registry_api.deployments.clusters.shipping import Shipper
from registry_api.deployments.clusters.wishes import Wishes, repository_of
from registry_api.deployments.converger import Converged
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.values import Status
from registry_api.deployments.repository import DeploymentRepository
from registry_api.deployments.values import Deployment
from registry_api.deployments.verified_images import VerifiedImages
from registry_api.deployments.wording import counted
from registry_api.jobs.interface import Job, JobTask
from registry_api.jobs.scratch import scratch_of, sweep_scratch

_log = get_logger(__name__)


class ClusterConverger:
    """Hands deployments to a cluster.

    Args:
        db: Where deployments are.
        clock: For times of records.
        claims: Tells whether a job still works for a deployment.
        images: Fetches images.
        shipper: Pushes them.
        wishes: Tells what is wanted of the cluster.
        cluster: Runs it.
        scratch: Where images are while they are pushed.
        ready_seconds: From applying to every pod ready.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        claims: Claims,
        images: VerifiedImages,
        shipper: Shipper,
        wishes: Wishes,
        cluster: Cluster,
        scratch: Path,
        ready_seconds: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._claims = claims
        self._images = images
        self._shipper = shipper
        self._wishes = wishes
        self._cluster = cluster
        self._scratch = scratch
        self._ready_seconds = ready_seconds

    async def converge(self, deployment: Deployment, revision: Revision, task: JobTask) -> Converged:
        """Verifies, pushes, applies, waits, switches."""
        await self._ship(deployment, revision, task)
        deployment = await self._claims.own(task.job)
        wanted = await self._wishes.of(deployment, revision, run=task.job.id)
        task.progress(0.6, "applying")
        await finished(self._cluster.apply, wanted)
        task.log(f"applied revision {revision.number} with {counted(deployment.replicas, 'pod')}")
        status = await until_ready(
            self._cluster, deployment.tenant, deployment.name, seconds=self._ready_seconds, task=task
        )
        await self._switch(await self._claims.own(task.job), revision, task.job, status)
        return Converged(instances=status.ready, url=status.url)

    async def withdraw(self, deployment: Deployment, job: Job) -> None:
        """Takes back what was applied since the deployment became ready, as far as the cluster can be reached."""
        await asyncio.to_thread(sweep_scratch, job, self._scratch)
        try:
            runs = await asyncio.to_thread(self._cluster.runs, deployment.tenant, deployment.name)
            if runs <= {deployment.run}:  # nothing was applied since it became ready
                return
            before = await self._wishes.serving(deployment)
            if before is not None:
                await finished(self._cluster.apply, before)
            elif deployment.serving_revision is None:
                await finished(self._cluster.remove, deployment.tenant, deployment.name)
        except FuroshikiError as error:
            _left(deployment, error)

    async def end(self, deployment: Deployment, _job: Job) -> None:
        """Removes it; returns when its objects and pods are gone."""
        await finished(self._cluster.remove, deployment.tenant, deployment.name)

    async def end_now(self, deployment: Deployment) -> None:
        """Removes it, as far as the cluster can be reached."""
        try:
            await finished(self._cluster.remove, deployment.tenant, deployment.name)
        except FuroshikiError as error:
            _left(deployment, error)

    async def _ship(self, deployment: Deployment, revision: Revision, task: JobTask) -> None:
        template = revision.template
        task.progress(0.05, "fetching and verifying the image")
        with room_on_disk(), scratch_of(task.job, self._scratch) as scratch:
            fetched = await self._images.fetch(deployment.tenant, str(template.image_id), scratch / "image", task)
            task.progress(0.3, "pushing the image")
            shipped = await self._shipper.ship(fetched, repository_of(deployment.tenant, template.model))
        task.log(f"pushed {template.digest}: {shipped.sent} of {shipped.size} bytes travelled")

    async def _switch(self, deployment: Deployment, revision: Revision, job: Job, status: Status) -> None:
        """Says that what is wanted serves, in one write."""
        now = self._clock.now()
        async with self._db.write(deployment.tenant) as session:
            deployments = DeploymentRepository(session, deployment.tenant)
            if not await deployments.ready(deployment, revision.number, job=job, now=now, address=status.url):
                raise Conflict(ErrorCode.STATE_CONFLICT, f"Deployment {deployment.name!r} was changed meanwhile.")
            message = f"Revision {revision.number} serves with {counted(status.ready, 'pod')} at {status.url}."
            history = HistoryRepository(session, deployment.tenant)
            await history.tell(deployment.id, HappeningKind.SERVING, message, at=now)


def _left(deployment: Deployment, error: FuroshikiError) -> None:
    _log.warning(
        "cluster_not_tidied", tenant=deployment.tenant, deployment=deployment.name, code=error.code, error=error.message
    )
