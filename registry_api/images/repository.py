# SPDX-License-Identifier: Apache-2.0
"""Images in the database, each read together with its job and its blobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import select

from registry_api.db.session import Session
from registry_api.images.tables import ImageBlobRow, ImageRow
from registry_api.images.values import IMAGE, Image, ImageBlob, MadeImage, Wanted
from registry_api.jobs.interface import Job
from registry_api.models.rows import source_value
from registry_api.models.source import Source
from registry_api.products.repository import ProductRepository


class ImageRepository(ProductRepository[ImageRow, Image]):
    """Reads and writes the images of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        super().__init__(session, tenant, IMAGE, ImageRow)

    async def add(self, build_id: str, source: Source, wanted: Wanted, job: Job) -> Image:
        """Writes an image that waits for its job."""
        return _to_image(await self._add(source, job, build_id=build_id, **asdict(wanted)), job, ())

    async def finish(self, image_id: str, made: MadeImage) -> None:
        """Writes what the image became."""
        await self._finish(
            image_id,
            digest=made.digest,
            size=made.size,
            compressed_bytes=made.compressed_bytes,
            base_digest=made.base,
            made_by=made.builder,
            builder_version=made.builder_version,
            reason=made.reason,
            platform=made.platform,
            key_id=made.key_id,
        )
        self._session.add_all(
            ImageBlobRow(image_id=image_id, position=at, tenant=self._tenant, **asdict(blob))
            for at, blob in enumerate(made.blobs)
        )
        await self._session.flush()

    async def _values(self, found: Sequence[tuple[ImageRow, Job]]) -> Sequence[Image]:
        blobs = await self._blobs([row.id for row, _job in found])
        return [_to_image(row, job, blobs.get(row.id, ())) for row, job in found]

    async def _blobs(self, image_ids: Sequence[str]) -> dict[str, tuple[ImageBlob, ...]]:
        query = (
            select(ImageBlobRow)
            .where(ImageBlobRow.tenant == self._tenant, ImageBlobRow.image_id.in_(image_ids))
            .order_by(ImageBlobRow.image_id, ImageBlobRow.position)
        )
        found: dict[str, tuple[ImageBlob, ...]] = {}
        for row in await self._session.scalars(query):
            found[row.image_id] = (*found.get(row.image_id, ()), _to_blob(row))
        return found


def _to_image(row: ImageRow, job: Job, blobs: tuple[ImageBlob, ...]) -> Image:
    return Image(
        id=row.id,
        build_id=row.build_id,
        source=source_value(row, row.tenant),
        job=job,
        builder=row.builder,
        device=row.device,
        architecture=row.architecture,
        made=_to_made(row, blobs),
        created_at=row.created_at,
    )


def _to_made(row: ImageRow, blobs: tuple[ImageBlob, ...]) -> MadeImage | None:
    if (
        row.digest is None
        or row.size is None
        or row.compressed_bytes is None
        or row.base_digest is None
        or row.made_by is None
        or row.builder_version is None
        or row.reason is None
        or row.platform is None
        or row.key_id is None
    ):
        return None
    return MadeImage(
        digest=row.digest,
        size=row.size,
        compressed_bytes=row.compressed_bytes,
        base=row.base_digest,
        builder=row.made_by,
        builder_version=row.builder_version,
        reason=row.reason,
        platform=row.platform,
        key_id=row.key_id,
        blobs=blobs,
    )


def _to_blob(row: ImageBlobRow) -> ImageBlob:
    return ImageBlob(digest=row.digest, size=row.size, media_type=row.media_type, layer=row.layer, cached=row.cached)
