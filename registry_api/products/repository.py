# SPDX-License-Identifier: Apache-2.0
"""Products in the database, each read together with its job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, select, update

from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.jobs.interface import Job
from registry_api.jobs.repository import to_job
from registry_api.jobs.tables import JobRow
from registry_api.models.rows import source_columns
from registry_api.models.source import Source
from registry_api.products.kind import ProductKind
from registry_api.products.tables import ProductRow
from registry_api.products.values import Product

R = TypeVar("R", bound=ProductRow)
P = TypeVar("P", bound=Product)


class ProductRepository(ABC, Generic[R, P]):
    """Reads and writes the products of one kind and tenant inside one transaction.

    Args:
        session: The transaction.
        tenant: Whose they are.
        kind: What they are.
        table: Where they are.
    """

    def __init__(self, session: Session, tenant: str, kind: ProductKind, table: type[R]) -> None:
        self._session = session
        self._tenant = tenant
        self._kind = kind
        self._table = table

    async def get(self, product_id: str) -> P:
        """One product.

        Raises:
            NotFound: The kind's code, if the tenant has none of that id.
        """
        found = (await self._session.execute(self._select().where(self._table.id == product_id))).one_or_none()
        if found is None:
            raise self._kind.missing(product_id)
        return (await self._values([(found[0], to_job(found[1]))]))[0]

    async def page(self, request: PageRequest, *, model: str | None = None, version: int | None = None) -> Listing[P]:
        """Products, newest first; None: of whatever model and version."""
        wanted = ((self._table.model, model), (self._table.version, version))
        query = self._select().where(*(column == value for column, value in wanted if value is not None))
        if (after := request.position(int)) is not None:
            query = query.where(self._table.number < after[0])
        query = query.order_by(self._table.number.desc()).limit(request.limit + 1)
        rows = [(row, to_job(job)) for row, job in await self._session.execute(query)]
        found = listing(rows, request, lambda each: (each[0].number,))
        return Listing(items=tuple(await self._values(found.items)), next_cursor=found.next_cursor)

    @abstractmethod
    async def _values(self, found: Sequence[tuple[R, Job]]) -> Sequence[P]:
        """The products of rows and their jobs, in that order."""

    async def _add(self, source: Source, job: Job, **columns: Any) -> R:
        """Writes what ``job`` is to make of ``source``; ``columns`` are the slice's own."""
        own = {"id": self._kind.id_in(job), "tenant": self._tenant, "job_id": job.id, "created_at": job.created_at}
        row = self._table(**own, **source_columns(source), **columns)
        self._session.add(row)
        await self._session.flush()
        return row

    async def _finish(self, product_id: str, **made: Any) -> None:
        """Writes what was made, by column."""
        await self._session.execute(
            update(self._table)
            .where(self._table.id == product_id, self._table.tenant == self._tenant)
            .values(**made)
            .execution_options(synchronize_session=False)
        )

    def _select(self) -> Select[R, JobRow]:
        joined = select(self._table, JobRow).join(JobRow, JobRow.id == self._table.job_id)
        return joined.where(self._table.tenant == self._tenant)
