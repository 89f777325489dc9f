# SPDX-License-Identifier: Apache-2.0
"""Reads every row of a tenant that refers to a blob: versions, variants, builds and uploads that were not given up."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from artifacts.digest import Digest
from registry_api.builds.tables import BuildRow
from registry_api.db.session import Session
from registry_api.models.tables import VariantRow, VersionFileRow, VersionRow
from registry_api.models.uploads.tables import UploadFileRow, UploadRow
from registry_api.models.uploads.values import UploadState


class StorageRepository:
    """The references of one tenant."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def kept_bytes(self) -> int:
        """Bytes of distinct blobs: files of versions, archives of builds, and what uploads declare.

        An upload that was given up counts until its row is removed: until then its blobs may be there. The archive of a
        build counts with the bytes of its files. Manifests and signatures are small and do not count.
        """
        declared = select(UploadFileRow.digest, UploadFileRow.size).join(
            UploadRow, UploadRow.id == UploadFileRow.upload_id
        )
        kept = union_all(
            select(VersionFileRow.digest, VersionFileRow.size).where(VersionFileRow.tenant == self._tenant),
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

    def _references(self, digest: Digest) -> tuple[ColumnElement[bool], ...]:
        declared = select(UploadFileRow.upload_id).join(UploadRow, UploadRow.id == UploadFileRow.upload_id)
        live = and_(
            UploadFileRow.tenant == self._tenant,
            UploadFileRow.digest == digest,
            UploadRow.state != UploadState.ABORTED,
        )
        return (
            self._row(digest, VersionFileRow.tenant, VersionFileRow.digest),
            declared.where(live).exists(),
            self._row(digest, VersionRow.tenant, VersionRow.digest, VersionRow.signature_digest),
            self._row(digest, VariantRow.tenant, VariantRow.digest, VariantRow.signature_digest),
            self._row(
                digest,
                BuildRow.tenant,
                *(BuildRow.variant_digest, BuildRow.variant_signature_digest),
                *(BuildRow.digest, BuildRow.signature_digest, BuildRow.archive_digest),
            ),
        )

    def _row(
        self,
        digest: Digest,
        tenant: InstrumentedAttribute[str],
        *columns: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    ) -> ColumnElement[bool]:
        return exists().where(tenant == self._tenant, or_(*(column == digest for column in columns)))
