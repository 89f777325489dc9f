# SPDX-License-Identifier: Apache-2.0
"""Builds in the database, each read together with its job."""

from __future__ import annotations

from dataclasses import asdict

from registry_api.builds.tables import BuildRow
from registry_api.builds.values import BUILD, Bento, Build
from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest
from registry_api.jobs.interface import Job
from registry_api.jobs.products.repository import ProductRows
from registry_api.models.rows import source_columns, source_value
from registry_api.models.source import Source


class BuildRepository:
    """Reads and writes the builds of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._rows = ProductRows(session, tenant, BUILD, BuildRow)

    async def add(self, source: Source, job: Job) -> Build:
        """Writes a build that waits for its job."""
        return _to_build(await self._rows.add(job, **source_columns(source)), job)

    async def get(self, build_id: str) -> Build:
        """One build.

        Raises:
            NotFound: ``BUILD_001`` if the tenant has none of that id.
        """
        return _to_build(*await self._rows.get(build_id))

    async def page(self, request: PageRequest) -> Listing[Build]:
        """Builds, newest first."""
        return (await self._rows.page(request)).map(lambda found: _to_build(*found))

    async def finish(self, build_id: str, bento: Bento) -> None:
        """Writes what the build became."""
        await self._rows.finish(build_id, **asdict(bento))


def _to_build(row: BuildRow, job: Job) -> Build:
    return Build(
        id=row.id,
        source=source_value(row, row.tenant),
        job=job,
        bento=_to_bento(row),
        created_at=row.created_at,
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
