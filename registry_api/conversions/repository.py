# SPDX-License-Identifier: Apache-2.0
"""Conversions in the database, each read together with its job and its results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select

from artifacts.digest import Digest
from registry_api.conversions.rows import result_row, result_value, to_conversion
from registry_api.conversions.tables import ConversionResultRow, ConversionRow, VariantFileRow
from registry_api.conversions.values import CONVERSION, Conversion, Made, Plan, Result
from registry_api.db.session import Session
from registry_api.jobs.interface import Job
from registry_api.models.source import Source
from registry_api.models.tables import ModelRow, VariantRow, VersionRow
from registry_api.products.repository import ProductRepository


class ConversionRepository(ProductRepository[ConversionRow, Conversion]):
    """Reads and writes the conversions of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        super().__init__(session, tenant, CONVERSION, ConversionRow)

    async def add(self, source: Source, plan: Plan, job: Job) -> Conversion:
        """Writes a conversion that waits for its job."""
        row = await self._add(
            source,
            job,
            target=plan.target.variant,
            auto=plan.auto,
            route=None if plan.route is None else list(plan.route),
            thresholds=None if plan.thresholds is None else dict(plan.thresholds),
            calibration=plan.calibration,
        )
        return to_conversion(row, job, ())

    async def results_of(self, model: str, version: int) -> list[Result]:
        """Every result of a version, newest conversion first."""
        query = (
            select(ConversionResultRow)
            .join(ConversionRow, ConversionRow.id == ConversionResultRow.conversion_id)
            .where(
                ConversionResultRow.tenant == self._tenant,
                ConversionRow.model == model,
                ConversionRow.version == version,
            )
            .order_by(ConversionRow.number.desc(), ConversionResultRow.id)
        )
        return [result_value(row) for row in await self._session.scalars(query)]

    async def finish(
        self, conversion: Conversion, made: Sequence[Made], *, environment: Mapping[str, Any], now: datetime
    ) -> None:
        """Writes what was made: a result each, and a variant with its files for each accepted one."""
        await self._finish(conversion.id, environment=dict(environment))
        version_id = await self._version_id(conversion.source.model, conversion.source.version)
        for each in made:
            self._session.add(result_row(each.result, self._tenant))
            if each.result.accepted:
                await self._add_variant(version_id, each, now)
        await self._session.flush()

    async def made_of(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Manifests of the accepted variants that were made of these manifests, of what was made of them, and so on."""
        found: set[Digest] = set()
        wanted = set(digests)
        while wanted:
            query = (
                select(ConversionResultRow.digest)
                .join(ConversionRow, ConversionRow.id == ConversionResultRow.conversion_id)
                .where(
                    ConversionRow.tenant == self._tenant,
                    ConversionRow.variant_digest.in_(wanted),
                    ConversionResultRow.accepted,
                )
            )
            wanted = set(await self._session.scalars(query)) - found
            found |= wanted
        return frozenset(found)

    async def made_from(self, digest: Digest) -> frozenset[Digest]:
        """Manifests that a variant was made from: its parent, the parent of that, and so on."""
        found: set[Digest] = set()
        at: Digest | None = digest
        while at is not None:
            query = (
                select(ConversionRow.variant_digest)
                .join(ConversionResultRow, ConversionRow.id == ConversionResultRow.conversion_id)
                .where(ConversionResultRow.tenant == self._tenant, ConversionResultRow.digest == at)
                .limit(1)
            )
            at = await self._session.scalar(query)
            at = None if at in found else at
            found |= set() if at is None else {at}
        return frozenset(found)

    async def _add_variant(self, version_id: int, made: Made, now: datetime) -> None:
        result = made.result
        assert made.signature_digest is not None  # accepted
        row = VariantRow(
            tenant=self._tenant,
            version_id=version_id,
            name=result.variant,
            format=made.format,
            precision=made.precision,
            device=made.device,
            digest=result.digest,
            signature_digest=made.signature_digest,
            key_id=result.key_id,
            size=result.size,
            source=False,
            created_at=now,
        )
        self._session.add(row)
        await self._session.flush()
        self._session.add_all(
            VariantFileRow(
                variant_id=row.id,
                position=at,
                tenant=self._tenant,
                path=file.path,
                size=file.size,
                digest=file.digest,
            )
            for at, file in enumerate(made.files)
        )

    async def _version_id(self, model: str, version: int) -> int:
        query = (
            select(VersionRow.id)
            .join(ModelRow, ModelRow.id == VersionRow.model_id)
            .where(VersionRow.tenant == self._tenant, ModelRow.name == model, VersionRow.version == version)
        )
        return (await self._session.scalars(query)).one()

    async def _values(self, found: Sequence[tuple[ConversionRow, Job]]) -> Sequence[Conversion]:
        results = await self._results([row.id for row, _job in found])
        return [to_conversion(row, job, results.get(row.id, ())) for row, job in found]

    async def _results(self, conversions: Sequence[str]) -> dict[str, tuple[Result, ...]]:
        query = select(ConversionResultRow).where(
            ConversionResultRow.tenant == self._tenant, ConversionResultRow.conversion_id.in_(conversions)
        )
        found: dict[str, tuple[Result, ...]] = {}
        for row in await self._session.scalars(query.order_by(ConversionResultRow.id)):
            found[row.conversion_id] = (*found.get(row.conversion_id, ()), result_value(row))
        return found
