# SPDX-License-Identifier: Apache-2.0
"""Products in the database, each read together with its job."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, select, update

from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.jobs.interface import Job
from registry_api.jobs.products.kind import ProductKind
from registry_api.jobs.products.tables import ProductRow
from registry_api.jobs.repository import to_job
from registry_api.jobs.tables import JobRow

P = TypeVar("P", bound=ProductRow)


class ProductRows(Generic[P]):
    """The products of one kind and tenant, inside one transaction.

    Args:
        session: The transaction.
        tenant: Whose they are.
        kind: What they are.
        table: Where they are.
    """

    def __init__(self, session: Session, tenant: str, kind: ProductKind, table: type[P]) -> None:
        self._session = session
        self._tenant = tenant
        self._kind = kind
        self._table = table

    async def add(self, job: Job, **columns: Any) -> P:
        """Writes what ``job`` is to make; ``columns`` are the slice's own."""
        own = {"id": self._kind.id_in(job), "tenant": self._tenant, "job_id": job.id, "created_at": job.created_at}
        row = self._table(**own, **columns)
        self._session.add(row)
        await self._session.flush()
        return row

    async def get(self, product_id: str) -> tuple[P, Job]:
        """One product and its job.

        Raises:
            NotFound: The kind's code, if the tenant has none of that id.
        """
        found = (await self._session.execute(self._select().where(self._table.id == product_id))).one_or_none()
        if found is None:
            raise self._kind.missing(product_id)
        return found[0], to_job(found[1])

    async def page(self, request: PageRequest, *conditions: ColumnElement[bool]) -> Listing[tuple[P, Job]]:
        """Products and their jobs that meet the conditions, newest first."""
        query = self._select().where(*conditions).order_by(self._table.number.desc()).limit(request.limit + 1)
        if (after := request.position(int)) is not None:
            query = query.where(self._table.number < after[0])
        found = [(row, to_job(job)) for row, job in await self._session.execute(query)]
        return listing(found, request, lambda each: (each[0].number,))

    async def finish(self, product_id: str, **made: Any) -> None:
        """Writes what was made, by column."""
        await self._session.execute(
            update(self._table)
            .where(self._table.id == product_id, self._table.tenant == self._tenant)
            .values(**made)
            .execution_options(synchronize_session=False)
        )

    def _select(self) -> Select[P, JobRow]:
        joined = select(self._table, JobRow).join(JobRow, JobRow.id == self._table.job_id)
        return joined.where(self._table.tenant == self._tenant)
