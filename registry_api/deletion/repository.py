# SPDX-License-Identifier: Apache-2.0
"""Marks versions and models of one tenant as deleted, and finds what uses them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, literal, or_, select, union_all, update

from registry_api.builds.tables import BuildRow
from registry_api.conversions.tables import ConversionRow
from registry_api.db.session import Session
from registry_api.deletion.policy import Use, Used
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.tables import DeploymentRow, RevisionRow
from registry_api.images.tables import ImageRow
from registry_api.jobs.states import JobState
from registry_api.jobs.tables import JobRow
from registry_api.models.search.repository import index_model
from registry_api.models.tables import AliasRow, ModelRow, VariantRow, VersionRow
from registry_api.models.values import Deletion, Stage
from registry_api.tunings.tables import TuningRow

_LIVE_DEPLOYMENTS = tuple(state.value for state in DeploymentState if not state.over)
_LIVE_JOBS = tuple(state.value for state in JobState if not state.final)


class DeletionRepository:
    """What is deleted of one tenant, inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def lock(self, model: str) -> int | None:
        """Keeps everybody out who changes that model, or makes something of its versions, until the transaction ends.

        Returns:
            The id of its row, whatever state it is in; None if there is none.
        """
        query = select(ModelRow.id).where(ModelRow.tenant == self._tenant, ModelRow.name == model)
        return await self._session.scalar(query.with_for_update())

    async def uses(self, model_id: int, version: int | None = None) -> Sequence[Used]:
        """What uses a version, or any version of a model; by version, then by kind."""
        mine = select(VersionRow).where(VersionRow.tenant == self._tenant, VersionRow.model_id == model_id)
        if version is not None:
            mine = mine.where(VersionRow.version == version)
        versions = mine.subquery()
        forms = (
            select(versions.c.version, VariantRow.digest).join(VariantRow, VariantRow.version_id == versions.c.id)
        ).subquery()
        found = union_all(
            select(versions.c.version, literal(Use.PRODUCTION.value), literal(Stage.PRODUCTION.value)).where(
                versions.c.stage == Stage.PRODUCTION
            ),
            select(versions.c.version, literal(Use.ALIAS.value), AliasRow.name).join(
                AliasRow, AliasRow.version_id == versions.c.id
            ),
            _deployed(forms, self._tenant),
            _worked_on(forms, self._tenant, Use.BUILD, BuildRow),
            _worked_on(forms, self._tenant, Use.IMAGE, ImageRow),
            _worked_on(forms, self._tenant, Use.TUNING, TuningRow),
            _worked_on(forms, self._tenant, Use.CONVERSION, ConversionRow),
        )
        rows = (await self._session.execute(found)).all()
        return sorted(
            (Used(version=number, use=Use(use), name=name) for number, use, name in rows),
            key=lambda used: (used.version, used.use, used.name),
        )

    async def mark_version(self, model_id: int, version: int, deletion: Deletion | None, *, at: datetime) -> None:
        """Deletes a version, or restores it (None)."""
        own = (VersionRow.tenant == self._tenant, VersionRow.model_id == model_id, VersionRow.version == version)
        await self._execute(update(VersionRow).where(*own).values(**_columns(deletion)))
        changed = update(ModelRow).where(ModelRow.tenant == self._tenant, ModelRow.id == model_id)
        await self._execute(changed.values(updated_at=at))
        await index_model(self._session, self._tenant, model_id)

    async def mark_model(self, model_id: int, deletion: Deletion | None) -> None:
        """Deletes a model with everything it has, or restores it (None)."""
        own = (ModelRow.tenant == self._tenant, ModelRow.id == model_id)
        await self._execute(update(ModelRow).where(*own).values(**_columns(deletion)))

    async def _execute(self, statement: Any) -> None:
        await self._session.execute(statement.execution_options(synchronize_session=False))


def _columns(deletion: Deletion | None) -> dict[str, Any]:
    return {
        "deleted_at": None if deletion is None else deletion.at,
        "deleted_by": None if deletion is None else deletion.by,
        "deletion_reason": None if deletion is None else deletion.reason,
        "purge_at": None if deletion is None else deletion.purge_at,
    }


def _deployed(forms: Any, tenant: str) -> Select[int, str, str]:
    """Deployments that are not over and want or serve a Bento with one of the forms inside."""
    serving = (
        select(RevisionRow.deployment_id)
        .where(RevisionRow.build_id == BuildRow.id, RevisionRow.revision == DeploymentRow.serving_revision)
        .correlate(BuildRow, DeploymentRow)
    )
    return (
        select(forms.c.version, literal(Use.DEPLOYMENT.value), DeploymentRow.name)
        .join(BuildRow, BuildRow.variant_digest == forms.c.digest)
        .join(DeploymentRow, or_(DeploymentRow.build_id == BuildRow.id, DeploymentRow.id.in_(serving)))
        .where(BuildRow.tenant == tenant, DeploymentRow.tenant == tenant, DeploymentRow.state.in_(_LIVE_DEPLOYMENTS))
        .distinct()
    )


def _worked_on(
    forms: Any, tenant: str, use: Use, row: type[BuildRow | ImageRow | TuningRow | ConversionRow]
) -> Select[int, str, str]:
    """Jobs that have not ended and make something of one of the forms."""
    return (
        select(forms.c.version, literal(use.value), JobRow.id)
        .join(row, row.variant_digest == forms.c.digest)
        .join(JobRow, JobRow.id == row.job_id)
        .where(row.tenant == tenant, JobRow.tenant == tenant, JobRow.state.in_(_LIVE_JOBS))
    )
