# SPDX-License-Identifier: Apache-2.0
"""A worker that makes tiny Bentos and real images of them, on the builder ``layers`` and a base image of a kilobyte."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from artifacts.stores.interface import BlobStore
from registry_api.backups.repository import needed_blobs
from registry_api.bootstrap.platform import Platform, tenant_blobs
from registry_api.builds.builder import BuildOptions
from registry_api.builds.handler import BuildHandler
from registry_api.db.session import EVERY_TENANT
from registry_api.images.child import PROGRAM, BuildLimits
from registry_api.images.handler import ImageHandler, ImageOptions
from registry_api.images.service import ImageService, finished
from registry_api.images.testing import PLAIN, TinyBentoBuilder, tiny_base
from registry_api.images.values import MadeImage
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.worker import Worker
from registry_api.products.handler import Tools
from registry_api.storage.repository import StorageRepository
from tests.integration.registry_api.bench import at_work, ended_job
from tests.integration.registry_api.rest import Api, tiny_onnx


def image_options(root: Path, program: tuple[str, ...] = PROGRAM) -> ImageOptions:
    """Everything below ``root``; bases are in ``root/bases``."""
    return ImageOptions(
        scratch=root / "scratch",
        cache=root / "cache",
        bases=root / "made",
        own_bases=root / "bases",
        limits=BuildLimits(program=program),
        timeout_seconds=120,
    )


def worker_of(
    platform: Platform,
    root: Path,
    *,
    description: bytes = PLAIN,
    program: tuple[str, ...] = PROGRAM,
    store: BlobStore | None = None,
) -> Worker:
    """A worker for builds and images; ``store`` stands in the place of the platform's."""
    clock = platform.clock
    tools = Tools(db=platform.db, store=store or platform.store, keys=platform.keys, clock=clock)
    builder = TinyBentoBuilder(tools.store, tools.keys, clock, root, description=description)
    options = BuildOptions(bentoml_home=root, scratch=root / "scratch")
    blobs, own = tenant_blobs(platform), image_options(root, program)
    building = BuildHandler(tools, builder=builder, blobs=blobs, options=options)
    imaging = ImageHandler(tools, blobs=blobs, options=own)
    policy = LeasePolicy(seconds=1, heartbeat_seconds=0.1, retry_seconds=0.05, log_bytes=1 << 20)
    return Worker(
        JobQueue(platform.db, clock, policy, owner=str(root)),
        {building.kind: building, imaging.kind: imaging},
        clock,
        slots=2,
        poll_seconds=0.05,
        drain_seconds=5,
    )


@dataclass(kw_only=True)
class Works:
    """A registry's client, and the folder its workers use."""

    api: Api
    root: Path
    program: tuple[str, ...] = PROGRAM  # that makes images
    description: bytes = PLAIN  # of the Bentos that are built
    tenant_bytes: int = 0  # what workers let a tenant keep; 0: no limit
    built: dict[str, Any] = field(default_factory=dict)  # the build there is; empty: none
    made: dict[str, Any] = field(default_factory=dict)  # the image there is of it

    def __post_init__(self) -> None:
        if not (self.root / "bases").exists():
            tiny_base(self.root / "bases" / "cpu")

    @property
    def scratch(self) -> list[Path]:
        """What jobs left behind."""
        return list((self.root / "scratch").glob("*"))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker runs inside the block."""
        settings = self.api.platform.settings
        limits = settings.limits.model_copy(update={"tenant_bytes": self.tenant_bytes})
        platform = replace(self.api.platform, settings=settings.model_copy(update={"limits": limits}))
        async with at_work(worker_of(platform, self.root, description=self.description, program=self.program)):
            yield

    async def ended(self, job_id: str) -> dict[str, Any]:
        """The job, as soon as it has ended."""
        return await ended_job(self.api.ok, job_id)

    async def log(self, job_id: str) -> str:
        """A job's log."""
        return (await self.api.http.get(f"/api/v1/jobs/{job_id}/log")).text

    async def build(self, model: str = "digits", *, seed: int = 0) -> dict[str, Any]:
        """A Bento of the next version; a worker must be at work."""
        known = [item["name"] for item in (await self.api.ok("GET", "/models"))["items"]]
        if model not in known:
            await self.api.ok("POST", "/models", json={"name": model})
        version = await self.api.push(model, {"model.onnx": tiny_onnx(seed)})
        build: dict[str, Any] = await self.api.ok(
            "POST", "/builds", json={"model": model, "version": version["version"]}
        )
        job = await self.ended(build["job_id"])
        assert job["state"] == "succeeded", job
        return build

    async def ask(self, build: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Asks for an image by the builder ``layers``."""
        body = {"build_id": build["id"], "builder": "layers", **fields}
        asked: dict[str, Any] = await self.api.ok("POST", "/images", json=body)
        return asked

    async def made_image(self, image_id: str) -> MadeImage:
        """What became of an image, with its blobs."""
        return finished(await self.api.services.get(ImageService).get("default", image_id))

    async def kept(self) -> int:
        """Bytes that count against the tenant."""
        async with self.api.platform.db.read("default") as session:
            return await StorageRepository(session, "default").kept_bytes()

    async def needed(self, image: MadeImage) -> list[set[str]]:
        """Which of the image's blobs are named by some row, must be there, go into a backup."""
        digests = {blob.digest for blob in image.blobs}
        async with self.api.platform.db.read("default") as session:
            rows = StorageRepository(session, "default")
            referenced, required = await rows.referenced(sorted(digests)), await rows.required()
        async with self.api.platform.db.read(EVERY_TENANT) as session:
            backed_up = {digest async for tenant, digest in needed_blobs(session) if tenant == "default"}
        return [digests & referenced, digests & required, digests & backed_up]

    async def image(self, build: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Asks for an image and waits until its job has ended; a worker must be at work."""
        asked = await self.ask(build, **fields)
        await self.ended(asked["job_id"])
        shown: dict[str, Any] = await self.api.ok("GET", f"/images/{asked['id']}")
        return shown
