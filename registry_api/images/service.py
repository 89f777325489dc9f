# SPDX-License-Identifier: Apache-2.0
"""Asks for images, and finds them and their blobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from artifacts.digest import Digest
from artifacts.oci.documents import MAX_DOCUMENT_BYTES
from artifacts.stores.interface import BlobStore
from core.errors import ErrorCode, NotFound, StoreError
from registry_api.builds.service import BuildService
from registry_api.builds.service import finished as finished_build
from registry_api.db.session import Database
from registry_api.images.repository import ImageRepository
from registry_api.images.values import IMAGE, BuilderName, DeviceClass, Image, MadeImage, Wanted
from registry_api.jobs.service import JobService
from registry_api.models.service import hold
from registry_api.products.service import ProductService


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPart:
    """A blob of an image on its way out."""

    digest: Digest
    size: int  # bytes of the whole
    media_type: str
    start: int  # of the first byte that is sent
    chunks: AsyncIterator[bytes]


class ImageService(ProductService[Image]):
    """The images of the caller's tenant; the work itself is :class:`registry_api.images.handler.ImageHandler`'s."""

    def __init__(self, db: Database, store: BlobStore, builds: BuildService, jobs: JobService) -> None:
        super().__init__(db, jobs, ImageRepository)
        self._store = store
        self._builds = builds

    async def create(
        self,
        tenant: str,
        build_id: str,
        *,
        builder: str = BuilderName.AUTO,
        device: str = DeviceClass.CPU,
        architecture: str = "amd64",
    ) -> Image:
        """Asks for an image of a Bento.

        Args:
            tenant: Whose Bento.
            build_id: The build that made it.
            builder: A :class:`BuilderName`.
            device: A :class:`DeviceClass`: which base image.
            architecture: Of the processor, in Go's names.

        Raises:
            NotFound: ``BUILD_001`` if the tenant has no such build.
            Conflict: ``STATE_001`` if it has not succeeded.
            ModelError: ``MODEL_001`` if its version was deleted.
            Overloaded: ``QUOTA_001`` if the tenant has too many jobs that have not ended.
        """
        build = await self._builds.get(tenant, build_id)
        finished_build(build)
        wanted = Wanted(builder=builder, device=device, architecture=architecture)
        async with self._db.write(tenant) as session:
            await hold(session, build.source)
            job = await self._jobs.enqueue(session, IMAGE.new_job(tenant))
            return await ImageRepository(session, tenant).add(build.id, build.source, wanted, job)

    async def index(self, image: Image) -> bytes:
        """The bytes of the layout's ``index.json``, checked against their digest.

        Raises:
            Conflict: ``STATE_001`` if the image is not finished.
        """
        return await self._store.read(image.source.tenant, finished(image).index.digest, limit=MAX_DOCUMENT_BYTES)

    async def blob(self, image: Image, digest: Digest, *, start: int = 0) -> StoredPart:
        """One blob of the image or of what is attached to it.

        Args:
            image: The image.
            digest: Of the blob.
            start: From which byte on; beyond the last one it is the whole blob.

        Raises:
            Conflict: ``STATE_001`` if the image is not finished.
            NotFound: ``STORE_002`` if it has no such blob.
            StoreError: ``STORE_003`` if the store lost it.
        """
        blob = finished(image).blob(digest)
        if blob is None:
            raise NotFound(
                ErrorCode.BLOB_NOT_FOUND,
                f"Image {image.id!r} has no blob {digest}. Its index and manifests name those it has.",
                details={"image": image.id, "digest": digest},
            )
        tenant = image.source.tenant
        if await self._store.size(tenant, digest) is None:
            raise StoreError(
                ErrorCode.BLOB_CORRUPT, f"Blob {digest} of image {image.id!r} is lost. Make the image again."
            )
        start = start if start < blob.size else 0
        return StoredPart(
            digest=digest,
            size=blob.size,
            media_type=blob.media_type,
            start=start,
            chunks=self._store.stream(tenant, digest, start=start),
        )


def finished(image: Image) -> MadeImage:
    """What an image became whose job succeeded.

    Raises:
        Conflict: ``STATE_001`` if it has not.
    """
    if image.made is None:
        raise IMAGE.unfinished(image.id, image.state, "it can be had once its job has succeeded")
    return image.made
