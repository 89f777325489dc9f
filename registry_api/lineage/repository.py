# SPDX-License-Identifier: Apache-2.0
"""Finds what was made of manifests, by their digests, inside one tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from artifacts.digest import Digest
from registry_api.builds.tables import BuildRow
from registry_api.db.session import Session
from registry_api.deployments.tables import DeploymentRow
from registry_api.images.tables import ImageRow
from registry_api.jobs.tables import JobRow
from registry_api.models.tables import ModelRow, VariantRow, VersionRow
from registry_api.tunings.tables import TuningRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Something that was made."""

    name: str
    of: str  # digest of the manifest it was made of; of an image or a deployment, the id of the build
    digest: Digest | None
    state: str
    at: datetime


class LineageRepository:
    """The things of one tenant; each list is the newest ``limit`` of them."""

    def __init__(self, session: Session, tenant: str, *, limit: int) -> None:
        self._session = session
        self._tenant = tenant
        self._limit = limit

    async def version_of(self, digest: Digest) -> tuple[str, int] | None:
        """The model and number of the version that has a form with this manifest; None if there is none."""
        query = (
            select(ModelRow.name, VersionRow.version)
            .join(VersionRow, VersionRow.model_id == ModelRow.id)
            .join(VariantRow, VariantRow.version_id == VersionRow.id)
            .where(VariantRow.tenant == self._tenant, VariantRow.digest == digest)
            .limit(1)
        )
        return (await self._session.execute(query)).one_or_none()

    async def tunings(self, digests: Sequence[Digest]) -> list[Made]:
        """Measurements of these forms."""
        query = (
            select(TuningRow.id, TuningRow.variant_digest, JobRow.state, TuningRow.created_at)
            .join(JobRow, JobRow.id == TuningRow.job_id)
            .where(TuningRow.tenant == self._tenant, TuningRow.variant_digest.in_(digests))
            .order_by(TuningRow.number.desc())
            .limit(self._limit)
        )
        rows = (await self._session.execute(query)).all()
        return [Made(name=name, of=of, digest=None, state=state, at=at) for name, of, state, at in rows]

    async def builds(self, digests: Sequence[Digest]) -> list[Made]:
        """Bentos with these forms inside."""
        query = (
            select(BuildRow.id, BuildRow.variant_digest, BuildRow.digest, JobRow.state, BuildRow.created_at)
            .join(JobRow, JobRow.id == BuildRow.job_id)
            .where(BuildRow.tenant == self._tenant, BuildRow.variant_digest.in_(digests))
            .order_by(BuildRow.number.desc())
            .limit(self._limit)
        )
        rows = (await self._session.execute(query)).all()
        return [Made(name=name, of=of, digest=digest, state=state, at=at) for name, of, digest, state, at in rows]

    async def images(self, builds: Sequence[str]) -> list[Made]:
        """Images of these builds."""
        query = (
            select(ImageRow.id, ImageRow.build_id, ImageRow.digest, JobRow.state, ImageRow.created_at)
            .join(JobRow, JobRow.id == ImageRow.job_id)
            .where(ImageRow.tenant == self._tenant, ImageRow.build_id.in_(builds))
            .order_by(ImageRow.number.desc())
            .limit(self._limit)
        )
        rows = (await self._session.execute(query)).all()
        return [Made(name=name, of=of, digest=digest, state=state, at=at) for name, of, digest, state, at in rows]

    async def deployments(self, builds: Sequence[str]) -> list[Made]:
        """Deployments of these builds."""
        row = DeploymentRow
        query = (
            select(row.name, row.build_id, row.digest, row.state, row.created_at)
            .where(row.tenant == self._tenant, row.build_id.in_(builds))
            .order_by(row.number.desc())
            .limit(self._limit)
        )
        rows = (await self._session.execute(query)).all()
        return [Made(name=name, of=of, digest=digest, state=state, at=at) for name, of, digest, state, at in rows]
