# SPDX-License-Identifier: Apache-2.0
"""Makes one instance of a revision: fetch, verify, start, prove ready by a real inference.

Guarantees. Nothing is executed before every file of it was verified: of a Bento its manifest and files, of an image its
signature, SBOM, provenance and the chain back to the upload. The instance's row is written first and says ``ready`` only
after a real answer. Unless this returns, nothing of the instance is left but its log.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from uuid import uuid4

from artifacts.keys.interface import TrustProvider
from artifacts.manifest import MAX_MANIFEST_BYTES, Manifest
from artifacts.oci.blobs import room_on_disk
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import Conflict, ErrorCode, SignatureError
from core.tensors import TensorSpec
from registry_api.builds.fetching import fetch_bento
from registry_api.builds.repository import BuildRepository
from registry_api.builds.service import finished
from registry_api.db.session import Database
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision
from registry_api.deployments.inputs import model_inputs
from registry_api.deployments.instances.repository import InstanceRepository
from registry_api.deployments.starting import Starter, Starting
from registry_api.deployments.target import Launch, Started, launch_of
from registry_api.deployments.targets import Targets
from registry_api.deployments.values import Deployment, Instance, InstanceState, Template
from registry_api.deployments.verified_images import VerifiedImages
from registry_api.jobs.interface import JobTask


class Launcher:
    """Makes instances on this machine.

    Args:
        db: Where deployments and builds are.
        store: Where their bytes are.
        trust: Tells whom a tenant trusts.
        clock: For times of records and of validity.
        images: Fetches images.
        starter: Starts processes and proves them ready.
        targets: What this machine can run.
        folder: Where deployments live.
        host: This machine.
    """

    def __init__(
        self,
        db: Database,
        store: BlobStore,
        trust: TrustProvider,
        clock: Clock,
        *,
        images: VerifiedImages,
        starter: Starter,
        targets: Targets,
        folder: Path,
        host: str,
    ) -> None:
        self._db = db
        self._store = store
        self._trust = trust
        self._clock = clock
        self._images = images
        self._starter = starter
        self._targets = targets
        self._folder = folder
        self._host = host

    async def launch(self, deployment: Deployment, revision: Revision, task: JobTask) -> None:
        """Makes one more instance.

        Raises:
            SignatureError: A ``SIGN_*`` or ``IMAGE_*`` code: what is stored is not what the tenant signed.
            JobError: ``JOB_002`` or ``JOB_003`` if it does not answer.
            Unavailable: ``DEVICE_001`` if its target is not to be had here, ``STORE_004`` if the disk is full.
            Conflict: ``STATE_001`` if the deployment was stopped or changed meanwhile.
        """
        template = revision.template
        target = self._targets.of(template.target)
        launch = await self._begin(deployment, revision)
        try:
            with room_on_disk():
                await asyncio.to_thread(_make_folders, launch)
                inputs = await self._fetch(deployment.tenant, template, launch, task)
            what = Starting(tenant=deployment.tenant, model=template.model, inputs=inputs, launch=launch, target=target)
            started = await self._starter.start(what, task)
            await self._finish(deployment, revision, launch, started)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self._clear, template, launch))
            await asyncio.shield(self._forget(deployment, launch))
            raise

    async def _begin(self, deployment: Deployment, revision: Revision) -> Launch:
        run = uuid4().hex
        instance = Instance(run=run, revision=revision.number, host=self._host, state=InstanceState.STARTING)
        async with self._db.write(deployment.tenant) as session:
            instances = InstanceRepository(session, deployment.tenant)
            if not await instances.add(deployment.id, instance, now=self._clock.now()):
                raise Conflict(ErrorCode.STATE_CONFLICT, f"Deployment {deployment.name!r} is not to be started.")
        return launch_of(self._folder, deployment.id, run, revision.template)

    async def _fetch(self, tenant: str, template: Template, launch: Launch, task: JobTask) -> tuple[TensorSpec, ...]:
        if template.image_id is not None:
            return await self._fetch_image(tenant, template.image_id, launch, task)
        verifier = BundleVerifier(await asyncio.to_thread(self._trust.policy, tenant), self._clock)
        async with self._db.read(tenant) as session:
            build = await BuildRepository(session, tenant).get(template.build_id)
        bento = await fetch_bento(self._store, verifier, build.source, finished(build), launch.bento)
        task.log(f"verified Bento {bento.digest}, signed by {bento.key_id}")
        return await asyncio.to_thread(model_inputs, bento, launch.bento)

    async def _fetch_image(self, tenant: str, image_id: str, launch: Launch, task: JobTask) -> tuple[TensorSpec, ...]:
        fetched = await self._images.fetch(tenant, image_id, launch.layout, task)
        data = await self._store.read(tenant, fetched.source.digest, limit=MAX_MANIFEST_BYTES)
        manifest = Manifest.from_bytes(data)
        if manifest.signature is None:
            raise SignatureError(ErrorCode.MANIFEST_INVALID, "The model's manifest does not tell what the model takes.")
        return manifest.signature.inputs

    async def _finish(self, deployment: Deployment, revision: Revision, launch: Launch, started: Started) -> None:
        async with self._db.write(deployment.tenant) as session:
            instances = InstanceRepository(session, deployment.tenant)
            if not await instances.ready(deployment.id, launch.run, url=started.url, pid=started.pid):
                raise Conflict(ErrorCode.STATE_CONFLICT, f"Deployment {deployment.name!r} was changed meanwhile.")
            message = f"Instance {launch.run} of revision {revision.number} answers at {started.url}."
            history = HistoryRepository(session, deployment.tenant)
            await history.tell(deployment.id, HappeningKind.STARTED, message, at=self._clock.now())

    def _clear(self, template: Template, launch: Launch) -> None:
        self._targets.of(template.target).end_run(launch.run, None)
        for served in (launch.bento, launch.layout, launch.folder / "bentoml"):
            shutil.rmtree(served, ignore_errors=True)

    async def _forget(self, deployment: Deployment, launch: Launch) -> None:
        async with self._db.write(deployment.tenant) as session:
            await InstanceRepository(session, deployment.tenant).forget(deployment.id, launch.run)


def _make_folders(launch: Launch) -> None:
    """Before anything is fetched; where a log cannot even begin, nothing is started."""
    launch.folder.mkdir(mode=0o700, parents=True)
    launch.logs.mkdir()
