# SPDX-License-Identifier: Apache-2.0
"""The work of an image job: fetch and verify the Bento, have a child build, sign what it made, verify all of it, store it.

Guarantees. Only what the tenant signed goes into an image, and no image is stored that a deployment would refuse: the check
is the same. The child that builds gets no key. The image's row learns of its blobs in the transaction that ends the job,
under the tenant's lock, and only if they are still there; an attempt that did not end leaves nothing but content-addressed
blobs nobody refers to. Mounts and folders of an attempt are gone when it ends, or when the next one begins.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from artifacts.oci.blobs import room_on_disk
from artifacts.oci.layout import Descriptor, Layout, Platform
from artifacts.signing.interface import Signer
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.supply.describing import Making, describe_image
from artifacts.supply.verification import verify_image
from registry_api.builds.fetching import fetch_bento
from registry_api.builds.repository import BuildRepository
from registry_api.builds.service import finished as finished_build
from registry_api.builds.values import Build
from registry_api.db.session import Session
from registry_api.images.ancestry import ancestry, signed_in
from registry_api.images.builders.spec import ImageResult, ImageSpec
from registry_api.images.builders.storage import unmount_below
from registry_api.images.cache import cache_of
from registry_api.images.child import BUILT, BuildLimits, build_in_child
from registry_api.images.repository import ImageRepository
from registry_api.images.storing import Stored, store_image
from registry_api.images.values import IMAGE, Image, MadeImage
from registry_api.jobs.interface import Apply, Job, JobTask, Outcome, Value
from registry_api.models.service import found_version
from registry_api.models.source import Source
from registry_api.models.uploads.admission import admit_product
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.models.values import Version
from registry_api.products.events import tell_success
from registry_api.products.handler import ProductHandler, Tools, WorkOptions
from registry_api.signing.cosigning import FEATURE
from registry_api.tenancy.repository import TenantRepository


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions(WorkOptions):
    """Where image jobs work and what they may use."""

    cache: Path  # what builds keep for later ones
    bases: Path  # base images made from recipes
    own_bases: Path | None = None  # an OCI layout per device class, made elsewhere; None: bases are made from recipes
    mirror: str | None = None  # URL of a Debian mirror; None: this machine's own
    cache_bytes: int = 8 << 30  # of each tenant
    co_sign: bool = False  # with P-256 too, for tenants whose record does not say
    limits: BuildLimits
    timeout_seconds: float = 3600.0  # of a whole job


class ImageHandler(ProductHandler[ImageOptions]):
    """Runs image jobs.

    Args:
        tools: What it works with.
        blobs: Knows what a tenant may keep.
        options: Folders and limits.
    """

    product = IMAGE

    def __init__(self, tools: Tools, *, blobs: TenantBlobs, options: ImageOptions) -> None:
        super().__init__(tools, options=options, release=unmount_below)
        self._blobs = blobs

    async def run(self, task: JobTask) -> Outcome:
        """Makes, signs, verifies and stores the image.

        Raises:
            SignatureError: A ``SIGN_*`` or ``IMAGE_*`` code: the Bento or the image does not verify.
            Unavailable: ``IMAGE_002`` without base image, ``STORE_*`` without store or room.
            JobError: As :func:`registry_api.images.child.build_in_child`.
        """
        image, build, version = await self._image(task.job)
        with room_on_disk(), self._scratch(task.job) as scratch:
            made = await self._made(image, build, version, scratch, task)
        told: dict[str, Value] = {"image": image.id, "digest": made.digest, "compressed_bytes": made.compressed_bytes}
        return Outcome(result=told, apply=self._apply(image, made))

    async def _image(self, job: Job) -> tuple[Image, Build, Version]:
        async with self._db.read(job.tenant) as session:
            image = await ImageRepository(session, job.tenant).get(IMAGE.id_in(job))
            build = await BuildRepository(session, job.tenant).get(image.build_id)
            version = await found_version(session, job.tenant, image.source.model, image.source.version)
        return image, build, version

    async def _made(self, image: Image, build: Build, version: Version, scratch: Path, task: JobTask) -> MadeImage:
        started, source, bento = self._clock.now(), image.source, scratch / "bento"
        task.progress(0.02, "verifying the Bento")
        verifier = BundleVerifier(await self._policy(source.tenant), self._clock)
        verified = await fetch_bento(self._store, verifier, source, finished_build(build), bento)
        task.log(f"verified bento {source.ref} {source.variant} {verified.digest}, signed by {verified.key_id}")
        models = await ancestry(self._store, version, bento)
        with cache_of(source.tenant, self._options.cache, limit_bytes=self._options.cache_bytes) as cache:
            spec = self._spec(image, bento, scratch, cache)
            result = await build_in_child(spec, scratch, self._options.limits, task)
        making = Making(
            bento=await asyncio.to_thread(signed_in, bento),
            models=models,
            base=result.base,
            platform=str(Platform(architecture=image.architecture)),
            builder=result.builder,
            builder_version=result.builder_version,
            invocation=task.job.id,
            started=started,
            finished=self._clock.now(),
        )
        key_id = await self._sign(Layout(Path(spec.target)), result, making, source, task)
        stored = await self._store_image(Layout(Path(spec.target)), result, source, task)
        return _made_image(result, making, key_id, stored)

    def _spec(self, image: Image, bento: Path, scratch: Path, cache: Path) -> ImageSpec:
        options = self._options
        return ImageSpec(
            bento=str(bento),
            builder=image.builder,
            device=image.device,
            base=None if options.own_bases is None else str(options.own_bases / image.device),
            bases=str(options.bases),
            mirror=options.mirror,
            architecture=image.architecture,
            scratch=str(scratch),
            cache=str(cache),
            target=str(scratch / "image"),
            memory_bytes=options.limits.memory_bytes,
        )

    async def _sign(self, layout: Layout, result: ImageResult, making: Making, source: Source, task: JobTask) -> str:
        """Signs the image and all that is said about it, then verifies it as whoever runs it will; the key's id."""
        task.progress(BUILT, "signing the image")
        signer = await self._signer(source.tenant)
        co_signer = await self._co_signer(source.tenant)
        pack = await asyncio.to_thread(describe_image, layout, result.image, making, signer, co_signer=co_signer)
        task.log(_told_pack(pack, result.builder))
        task.progress(0.85, "verifying the image")
        verifier = BundleVerifier(await self._policy(source.tenant), self._clock)
        subject = Subject(tenant=source.tenant, model=source.model, version=source.version, variant=source.variant)
        verified = await asyncio.to_thread(verify_image, layout, result.image, verifier, subject)
        for line in verified.lines():
            task.log(line)
        return signer.key_id

    async def _co_signer(self, tenant: str) -> Signer | None:
        async with self._db.read(tenant) as session:
            record = await TenantRepository(session).get(tenant)
        if record is None or not record.features.get(FEATURE, self._options.co_sign):
            return None
        return await asyncio.to_thread(self._keys.co_signer, tenant)

    async def _store_image(self, layout: Layout, result: ImageResult, source: Source, task: JobTask) -> Stored:
        task.progress(0.9, "storing the image")
        stored = await store_image(self._store, source.tenant, layout, result)
        for blob in stored.blobs:
            if blob.layer is not None:
                task.log(f"layer {blob.layer} {blob.size} bytes {blob.digest}{' (cached)' if blob.cached else ''}")
        task.log(f"uploaded {stored.sent} of {stored.bytes} bytes; the other blobs were there")
        return stored

    def _apply(self, image: Image, made: MadeImage) -> Apply:
        source = image.source

        async def apply(session: Session) -> None:
            await self._check_stored(session, source, dict.fromkeys(blob.digest for blob in made.blobs))
            await ImageRepository(session, source.tenant).finish(image.id, made)
            await admit_product(self._blobs, session, source.tenant)
            await tell_success(session, IMAGE, image.job, source, digest=made.digest)

        return apply


def _told_pack(pack: Descriptor | None, builder: str) -> str:
    if pack is None:
        return f"no ModelPack artifact: the builder {builder} makes no layer of the model alone"
    return f"model as a ModelPack artifact {pack.digest}"


def _made_image(result: ImageResult, making: Making, key_id: str, stored: Stored) -> MadeImage:
    return MadeImage(
        digest=result.digest,
        size=result.size,
        compressed_bytes=sum(blob.size for blob in stored.blobs if blob.layer is not None),
        base=result.base,
        builder=result.builder,
        builder_version=result.builder_version,
        reason=result.reason,
        platform=making.platform,
        key_id=key_id,
        blobs=stored.blobs,
    )
