# SPDX-License-Identifier: Apache-2.0
"""Finds what is to be purged, of every tenant, and removes its rows, of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, update

from registry_api.builds.tables import BuildRow
from registry_api.conversions.tables import CalibrationRow, ConversionResultRow, ConversionRow, VariantFileRow
from registry_api.db.session import Session
from registry_api.deployments.tables import DeploymentRow
from registry_api.images.tables import ImageBlobRow, ImageRow
from registry_api.models.cards.tables import CardRow
from registry_api.models.search.tables import ModelTermRow
from registry_api.models.tables import ModelRow, VariantRow, VersionFileRow, VersionRow
from registry_api.models.uploads.tables import UploadFileRow, UploadRow
from registry_api.models.uploads.values import UploadState
from registry_api.promotion.tables import ApprovalRow, EvidenceRow
from registry_api.tunings.tables import TuningRow

_OF_MODEL: Final = 0  # the "version" of a model's own card


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A version or a model (version None) whose time is over."""

    id: int  # of its row
    tenant: str
    model: str
    version: int | None


async def due_models(session: Session, now: datetime, *, after: int, most: int) -> Sequence[Due]:
    """Models of any tenant, by id, from the one after ``after`` on."""
    query = select(ModelRow.id, ModelRow.tenant, ModelRow.name).where(ModelRow.purge_at <= now, ModelRow.id > after)
    rows = await session.execute(query.order_by(ModelRow.id).limit(most))
    return [Due(id=row.id, tenant=row.tenant, model=row.name, version=None) for row in rows]


async def due_versions(session: Session, now: datetime, *, after: int, most: int) -> Sequence[Due]:
    """Versions of any tenant, by id, from the one after ``after`` on."""
    query = (
        select(VersionRow.id, VersionRow.tenant, ModelRow.name, VersionRow.version)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(VersionRow.purge_at <= now, VersionRow.id > after)
    )
    rows = await session.execute(query.order_by(VersionRow.id).limit(most))
    return [Due(id=row.id, tenant=row.tenant, model=row.name, version=row.version) for row in rows]


class PurgeRepository:
    """Removes the rows of one tenant's versions and models, inside one transaction that holds the model's lock."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def version(self, model_id: int, version: int) -> VersionRow | None:
        """The version in whatever state, locked: nobody adds a row that names it from now on. None if it is purged."""
        own = (VersionRow.tenant == self._tenant, VersionRow.model_id == model_id, VersionRow.version == version)
        return await self._session.scalar(select(VersionRow).where(*own).with_for_update())

    async def remove_version(self, model: str, row: VersionRow) -> None:
        """Removes everything that names the version or its blobs; history and events stay."""
        digests = select(VariantRow.digest).where(VariantRow.tenant == self._tenant, VariantRow.version_id == row.id)
        builds = select(BuildRow.id).where(BuildRow.tenant == self._tenant, BuildRow.variant_digest.in_(digests))
        images = select(ImageRow.id).where(ImageRow.tenant == self._tenant, ImageRow.variant_digest.in_(digests))
        variants = select(VariantRow.id).where(VariantRow.tenant == self._tenant, VariantRow.version_id == row.id)
        conversions = select(ConversionRow.id).where(
            ConversionRow.tenant == self._tenant, ConversionRow.model == model, ConversionRow.version == row.version
        )
        uploads = await self._uploads(model, row)
        for table, condition in (
            (DeploymentRow, DeploymentRow.build_id.in_(builds)),
            (ImageBlobRow, ImageBlobRow.image_id.in_(images)),
            (ImageRow, ImageRow.variant_digest.in_(digests)),
            (BuildRow, BuildRow.variant_digest.in_(digests)),
            (TuningRow, TuningRow.variant_digest.in_(digests)),
            (ConversionResultRow, ConversionResultRow.conversion_id.in_(conversions)),
            (ConversionRow, ConversionRow.id.in_(conversions)),
            (VariantFileRow, VariantFileRow.variant_id.in_(variants)),
            (ApprovalRow, ApprovalRow.version_id == row.id),
            (EvidenceRow, EvidenceRow.version_id == row.id),
            (CardRow, (CardRow.model_id == row.model_id) & (CardRow.version == row.version)),
            (UploadFileRow, UploadFileRow.upload_id.in_(uploads)),
            (UploadRow, UploadRow.id.in_(uploads)),
            (VersionFileRow, VersionFileRow.version_id == row.id),
            (VariantRow, VariantRow.version_id == row.id),
            (VersionRow, VersionRow.id == row.id),
        ):
            await self._execute(delete(table).where(table.tenant == self._tenant, condition))

    async def _uploads(self, model: str, row: VersionRow) -> Sequence[str]:
        """The uploads that became the version, found by its files."""
        files = select(VersionFileRow.digest).where(VersionFileRow.version_id == row.id)
        query = (
            select(UploadRow.id)
            .join(UploadFileRow, UploadFileRow.upload_id == UploadRow.id)
            .where(UploadFileRow.tenant == self._tenant, UploadFileRow.digest.in_(files))
            .where(UploadRow.tenant == self._tenant, UploadRow.model == model, UploadRow.version == row.version)
        )
        return (await self._session.scalars(query.distinct())).all()

    async def close_model(self, model_id: int, model: str, *, at: datetime) -> None:
        """Ends a model for good: its versions are due at once, its open uploads given up, its name and count stay."""
        own = (VersionRow.tenant == self._tenant, VersionRow.model_id == model_id)
        deleted_at = func.coalesce(VersionRow.deleted_at, at, type_=VersionRow.deleted_at.type)
        await self._execute(update(VersionRow).where(*own).values(deleted_at=deleted_at, purge_at=at))
        uploads = (UploadRow.tenant == self._tenant, UploadRow.model == model, UploadRow.state == UploadState.OPEN)
        await self._execute(update(UploadRow).where(*uploads).values(state=UploadState.ABORTED))
        calibrations = (CalibrationRow.tenant == self._tenant, CalibrationRow.model == model)
        await self._execute(delete(CalibrationRow).where(*calibrations))
        card = (CardRow.tenant == self._tenant, CardRow.model_id == model_id, CardRow.version == _OF_MODEL)
        await self._execute(delete(CardRow).where(*card))
        terms = (ModelTermRow.tenant == self._tenant, ModelTermRow.model_id == model_id)
        await self._execute(delete(ModelTermRow).where(*terms))
        gone = update(ModelRow).where(ModelRow.tenant == self._tenant, ModelRow.id == model_id)
        await self._execute(gone.values(purged_at=at, purge_at=None, description="", tags=[]))

    async def _execute(self, statement: Any) -> None:
        await self._session.execute(statement.execution_options(synchronize_session=False))
