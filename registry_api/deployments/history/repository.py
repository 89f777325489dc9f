# SPDX-License-Identifier: Apache-2.0
"""Revisions and happenings in the database. Of both, the newest ones are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import InstrumentedAttribute

from registry_api.db.session import Session
from registry_api.deployments.history.values import Happening, HappeningKind, Revision, first_revision
from registry_api.deployments.tables import HappeningRow, RevisionRow, TemplateColumns
from registry_api.deployments.values import AuthMode, Deployment, Limits, TargetKind, Template
from registry_api.http.pagination import Listing, PageRequest, listing

KEPT_HAPPENINGS: Final = 500  # of one deployment
KEPT_REVISIONS: Final = 100


class HistoryRepository:
    """Reads and writes what happened to the deployments of one tenant, inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def revise(self, deployment_id: str, revision: Revision) -> None:
        """Writes a new revision."""
        row = RevisionRow(
            deployment_id=deployment_id,
            revision=revision.number,
            tenant=self._tenant,
            reason=revision.reason,
            created_by=revision.created_by,
            created_at=revision.created_at,
            **template_columns(revision.template),
        )
        self._session.add(row)
        await self._session.flush()
        await self._forget(RevisionRow, RevisionRow.revision, deployment_id, kept=KEPT_REVISIONS)

    async def revision(self, deployment_id: str, number: int) -> Revision | None:
        """One revision; None if there is none, or it is no longer kept."""
        query = select(RevisionRow).where(*self._of(RevisionRow, deployment_id), RevisionRow.revision == number)
        row = await self._session.scalar(query)
        return None if row is None else _to_revision(row)

    async def of(self, deployment: Deployment, number: int) -> Revision | None:
        """As :meth:`revision`; the present one also if it was written by a process that knew of none."""
        found = await self.revision(deployment.id, number)
        return first_revision(deployment) if found is None and number == deployment.revision else found

    async def revisions(self, deployment_id: str, request: PageRequest) -> Listing[Revision]:
        """Revisions, newest first."""
        query = select(RevisionRow).where(*self._of(RevisionRow, deployment_id))
        if (after := request.position(int)) is not None:
            query = query.where(RevisionRow.revision < after[0])
        rows = await self._session.scalars(query.order_by(RevisionRow.revision.desc()).limit(request.limit + 1))
        return listing(rows.all(), request, lambda row: (row.revision,)).map(_to_revision)

    async def tell(self, deployment_id: str, kind: HappeningKind, message: str, *, at: datetime) -> None:
        """Writes that something happened."""
        row = HappeningRow(tenant=self._tenant, deployment_id=deployment_id, kind=kind.value, message=message, at=at)
        self._session.add(row)
        await self._session.flush()
        await self._forget(HappeningRow, HappeningRow.number, deployment_id, kept=KEPT_HAPPENINGS)

    async def happenings(self, deployment_id: str, request: PageRequest) -> Listing[Happening]:
        """What happened, newest first."""
        query = select(HappeningRow).where(*self._of(HappeningRow, deployment_id))
        if (after := request.position(int)) is not None:
            query = query.where(HappeningRow.number < after[0])
        rows = await self._session.scalars(query.order_by(HappeningRow.number.desc()).limit(request.limit + 1))
        return listing(rows.all(), request, lambda row: (row.number,)).map(_to_happening)

    async def times(self, deployment_id: str, kind: HappeningKind, *, since: datetime) -> tuple[datetime, ...]:
        """When something of that kind happened, oldest first."""
        query = select(HappeningRow.at).where(
            *self._of(HappeningRow, deployment_id), HappeningRow.kind == kind.value, HappeningRow.at > since
        )
        return tuple((await self._session.scalars(query.order_by(HappeningRow.number))).all())

    async def last(self, deployment_id: str, *kinds: HappeningKind) -> str:
        """The message of the newest of these kinds; "" if there is none."""
        query = select(HappeningRow.message).where(
            *self._of(HappeningRow, deployment_id), HappeningRow.kind.in_([kind.value for kind in kinds])
        )
        return await self._session.scalar(query.order_by(HappeningRow.number.desc()).limit(1)) or ""

    def _of(self, row: type[RevisionRow | HappeningRow], deployment_id: str) -> tuple[Any, ...]:
        return row.tenant == self._tenant, row.deployment_id == deployment_id

    async def _forget(
        self,
        row: type[RevisionRow | HappeningRow],
        order: InstrumentedAttribute[int],
        deployment_id: str,
        *,
        kept: int,
    ) -> None:
        """Removes what is beyond the newest ``kept``."""
        newest = select(order).where(*self._of(row, deployment_id)).order_by(order.desc())
        limit = await self._session.scalar(newest.offset(kept).limit(1))
        if limit is not None:
            old = delete(row).where(*self._of(row, deployment_id), order <= limit)
            await self._session.execute(old.execution_options(synchronize_session=False))


def template_columns(template: Template) -> dict[str, Any]:
    """A template by column."""
    return {
        "build_id": template.build_id,
        "image_id": template.image_id,
        "model": template.model,
        "version": template.version,
        "digest": template.digest,
        "target": template.target.value,
        "auth": template.auth.value,
        "cpus": template.limits.cpus,
        "memory_bytes": template.limits.memory_bytes,
    }


def template_value(row: TemplateColumns, build_id: str) -> Template:
    """The template of a row."""
    return Template(
        build_id=build_id,
        image_id=row.image_id,
        model=row.model,
        version=row.version,
        digest=row.digest,
        target=TargetKind(row.target),
        auth=AuthMode(row.auth),
        limits=Limits(cpus=row.cpus, memory_bytes=row.memory_bytes),
    )


def _to_revision(row: RevisionRow) -> Revision:
    return Revision(
        number=row.revision,
        template=template_value(row, row.build_id),
        reason=row.reason,
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _to_happening(row: HappeningRow) -> Happening:
    return Happening(kind=HappeningKind(row.kind), message=row.message, at=row.at)
