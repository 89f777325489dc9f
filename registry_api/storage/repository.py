# SPDX-License-Identifier: Apache-2.0
"""Reads every row of a tenant that refers to a blob: versions, variants, conversions, builds, images and uploads not
given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Select, delete, exists, func, not_, or_, select, union, union_all, update
from sqlalchemy.orm import InstrumentedAttribute

from artifacts.digest import Digest
from registry_api.builds.tables import BuildRow
from registry_api.conversions.tables import CalibrationRow, ConversionResultRow, ConversionRow, VariantFileRow
from registry_api.db.session import Session
from registry_api.deployments.tables import DeploymentRow
from registry_api.images.tables import ImageBlobRow, ImageRow
from registry_api.jobs.tables import JobLogRow, JobRow
from registry_api.models.tables import VariantRow, VersionFileRow, VersionRow
from registry_api.models.uploads.tables import UploadFileRow, UploadRow
from registry_api.models.uploads.values import UploadState
from registry_api.tenancy.tables import TenantRow
from registry_api.tunings.tables import TuningRow

_Column: TypeAlias = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]

_REQUIRED: Final[tuple[tuple[InstrumentedAttribute[str], tuple[_Column, ...]], ...]] = (
    (VersionFileRow.tenant, (VersionFileRow.digest,)),
    (VersionRow.tenant, (VersionRow.digest, VersionRow.signature_digest)),
    (VariantRow.tenant, (VariantRow.digest, VariantRow.signature_digest)),
    (VariantFileRow.tenant, (VariantFileRow.digest,)),
    (CalibrationRow.tenant, (CalibrationRow.digest, CalibrationRow.signature_digest)),
    (
        ConversionResultRow.tenant,
        (
            ConversionResultRow.report_digest,
            ConversionResultRow.report_signature_digest,
            ConversionResultRow.picture_digest,
        ),
    ),
    (
        BuildRow.tenant,
        (
            *(BuildRow.variant_digest, BuildRow.variant_signature_digest),
            *(BuildRow.digest, BuildRow.signature_digest, BuildRow.archive_digest),
        ),
    ),
    (ImageRow.tenant, (ImageRow.variant_digest, ImageRow.variant_signature_digest)),
    (ImageBlobRow.tenant, (ImageBlobRow.digest,)),
)
"""Columns that name a blob, with the column that says whose row it is."""


class StorageRepository:
    """The references of one tenant."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def kept_bytes(self) -> int:
        """Bytes of distinct blobs: files of versions and variants, calibration data, archives of builds, images, uploads.

        An upload counts as declared; one that was given up until its row is removed: until then its blobs may be there.
        The archive of a build counts with the bytes of its files. Manifests and signatures are small and do not count, but
        for those of images, which are blobs like all of an image.
        """
        declared = select(UploadFileRow.digest, UploadFileRow.size).join(
            UploadRow, UploadRow.id == UploadFileRow.upload_id
        )
        kept = union_all(
            *(
                select(table.digest, table.size).where(table.tenant == self._tenant)
                for table in (VersionFileRow, VariantFileRow, CalibrationRow, ImageBlobRow)
            ),
            select(BuildRow.archive_digest, BuildRow.size).where(
                BuildRow.tenant == self._tenant, BuildRow.archive_digest.is_not(None)
            ),
            declared.where(UploadRow.tenant == self._tenant, UploadRow.state != UploadState.COMPLETED),
        ).subquery()
        blobs = select(func.max(kept.c.size).label("size")).group_by(kept.c.digest).subquery()
        return int(await self._session.scalar(select(func.coalesce(func.sum(blobs.c.size), 0))) or 0)

    async def refers_to(self, digest: Digest) -> bool:
        """Whether any row needs that blob."""
        return bool(await self._session.scalar(select(or_(*self._references(digest)))))

    async def referenced(self, digests: Sequence[Digest]) -> frozenset[Digest]:
        """Which of some digests any row needs; one question for all of them."""
        wanted = union_all(
            *(
                select(column).where(tenant == self._tenant, column.in_(digests))
                for tenant, columns in _REQUIRED
                for column in columns
            ),
            self._live(UploadFileRow.digest).where(UploadFileRow.digest.in_(digests)),
        )
        return frozenset(found for found in await self._session.scalars(wanted) if found is not None)

    async def required(self) -> frozenset[Digest]:
        """Every digest whose blob must be there; not those of uploads that are being sent."""
        wanted = union(
            *(
                select(column).where(tenant == self._tenant, column.is_not(None))
                for tenant, columns in _REQUIRED
                for column in columns
            )
        )
        return frozenset(found for found in await self._session.scalars(wanted) if found is not None)

    async def sizes(self) -> dict[Digest, int]:
        """How many bytes files of versions and variants, calibration data and blobs of images have, by digest."""
        found = union(
            *(
                select(table.digest, table.size).where(table.tenant == self._tenant)
                for table in (VersionFileRow, VariantFileRow, CalibrationRow, ImageBlobRow)
            )
        )
        return {row.digest: row.size for row in await self._session.execute(found)}

    def _live(self, *columns: Any) -> Select[Any]:
        """What uploads declare that were not given up."""
        joined = select(*columns).join(UploadRow, UploadRow.id == UploadFileRow.upload_id)
        return joined.where(UploadFileRow.tenant == self._tenant, UploadRow.state != UploadState.ABORTED)

    def _references(self, digest: Digest) -> tuple[ColumnElement[bool], ...]:
        rows = (self._row(digest, tenant, *columns) for tenant, columns in _REQUIRED)
        return (*rows, self._live(UploadFileRow.upload_id).where(UploadFileRow.digest == digest).exists())

    def _row(
        self,
        digest: Digest,
        tenant: InstrumentedAttribute[str],
        *columns: _Column,
    ) -> ColumnElement[bool]:
        return exists().where(tenant == self._tenant, or_(*(column == digest for column in columns)))


async def tenant_names(session: Session) -> list[str]:
    """Every tenant."""
    return list((await session.scalars(select(TenantRow.name).order_by(TenantRow.name))).all())


async def forget_jobs(session: Session, *, ended_before: datetime, most: int) -> int:
    """Removes ended jobs and their logs; of a job that a build, image, tuning, conversion or deployment names, the log
    only.

    Args:
        session: For every tenant.
        ended_before: Those that ended before this.
        most: At most so many in one transaction.

    Returns:
        How many were removed or lost their log; fewer than ``most``: there are no more.
    """
    tables = (BuildRow, ImageRow, TuningRow, ConversionRow, DeploymentRow)
    named = union(*(select(table.job_id) for table in tables)).subquery()
    is_named = JobRow.id.in_(select(named.c.job_id))
    due = select(JobRow.number, is_named.label("named")).where(
        JobRow.finished_at < ended_before, or_(JobRow.log_size > 0, not_(is_named))
    )
    rows = (await session.execute(due.order_by(JobRow.number).limit(most))).all()
    numbers = [row.number for row in rows]
    unnamed = [row.number for row in rows if not row.named]
    await session.execute(delete(JobLogRow).where(JobLogRow.job_number.in_(numbers)))
    await session.execute(update(JobRow).where(JobRow.number.in_(numbers)).values(log_size=0))
    await session.execute(delete(JobRow).where(JobRow.number.in_(unnamed)))
    return len(rows)
