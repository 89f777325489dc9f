# SPDX-License-Identifier: Apache-2.0
"""Builds in the database, each read together with its job."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy import Select, select, update

from registry_api.builds.tables import BuildRow
from registry_api.builds.values import Bento, Build, state_of
from registry_api.db.session import Session
from registry_api.jobs.interface import Job
from registry_api.jobs.repository import to_job
from registry_api.jobs.tables import JobRow
from registry_api.models.source import Source


def new_id() -> str:
    """The id of a new build; its job names it before its row is written."""
    return uuid4().hex


class BuildRepository:
    """Reads and writes the builds of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(self, build_id: str, source: Source, job: Job, *, now: datetime) -> Build:
        """Writes a build that waits for its job."""
        row = BuildRow(
            id=build_id,
            tenant=source.tenant,
            model=source.model,
            version=source.version,
            variant=source.variant,
            format=source.format,
            variant_digest=source.digest,
            variant_signature_digest=source.signature_digest,
            job_id=job.id,
            created_at=now,
        )
        self._session.add(row)
        await self._session.flush()
        return _to_build(row, job)

    async def get(self, build_id: str) -> Build | None:
        """The build, or None if the tenant has none of that id."""
        found = (await self._session.execute(self._select().where(BuildRow.id == build_id))).one_or_none()
        return None if found is None else _to_build(found[0], to_job(found[1]))

    async def page(self, *, before: int | None, limit: int) -> list[tuple[int, Build]]:
        """Builds newest first, each with its place in the order.

        Args:
            before: Only builds older than this place; None starts with the newest.
            limit: At most so many.
        """
        query = self._select().order_by(BuildRow.number.desc()).limit(limit)
        if before is not None:
            query = query.where(BuildRow.number < before)
        return [(row.number, _to_build(row, to_job(job))) for row, job in await self._session.execute(query)]

    async def finish(self, build_id: str, bento: Bento) -> None:
        """Writes what the build became."""
        await self._session.execute(
            update(BuildRow)
            .where(BuildRow.id == build_id, BuildRow.tenant == self._tenant)
            .values(
                tag=bento.tag,
                size=bento.size,
                digest=bento.digest,
                signature_digest=bento.signature_digest,
                archive_digest=bento.archive_digest,
                key_id=bento.key_id,
            )
            .execution_options(synchronize_session=False)
        )

    def _select(self) -> Select[BuildRow, JobRow]:
        joined = select(BuildRow, JobRow).join(JobRow, JobRow.id == BuildRow.job_id)
        return joined.where(BuildRow.tenant == self._tenant)


def _to_build(row: BuildRow, job: Job) -> Build:
    source = Source(
        tenant=row.tenant,
        model=row.model,
        version=row.version,
        variant=row.variant,
        format=row.format,
        digest=row.variant_digest,
        signature_digest=row.variant_signature_digest,
    )
    return Build(
        id=row.id,
        source=source,
        state=state_of(job.state),
        bento=_to_bento(row),
        job_id=job.id,
        error=job.error,
        created_at=row.created_at,
        finished_at=job.finished_at,
    )


def _to_bento(row: BuildRow) -> Bento | None:
    if (
        row.tag is None
        or row.size is None
        or row.digest is None
        or row.signature_digest is None
        or row.archive_digest is None
        or row.key_id is None
    ):
        return None
    return Bento(
        tag=row.tag,
        size=row.size,
        digest=row.digest,
        signature_digest=row.signature_digest,
        archive_digest=row.archive_digest,
        key_id=row.key_id,
    )
