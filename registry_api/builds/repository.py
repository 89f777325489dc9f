# SPDX-License-Identifier: Apache-2.0
"""Builds in the database, each read together with its job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from registry_api.builds.tables import BuildRow
from registry_api.builds.values import BUILD, Bento, Build
from registry_api.db.session import Session
from registry_api.jobs.interface import Job
from registry_api.models.rows import source_value
from registry_api.models.source import Source
from registry_api.products.repository import ProductRepository


class BuildRepository(ProductRepository[BuildRow, Build]):
    """Reads and writes the builds of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        super().__init__(session, tenant, BUILD, BuildRow)

    async def add(self, source: Source, job: Job) -> Build:
        """Writes a build that waits for its job."""
        return _to_build(await self._add(source, job), job)

    async def finish(self, build_id: str, bento: Bento) -> None:
        """Writes what the build became."""
        await self._finish(build_id, **asdict(bento))

    async def _values(self, found: Sequence[tuple[BuildRow, Job]]) -> Sequence[Build]:
        return [_to_build(*each) for each in found]


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
