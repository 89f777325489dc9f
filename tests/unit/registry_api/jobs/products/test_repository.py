# SPDX-License-Identifier: Apache-2.0
"""Products in the database: written with their job, read with their job, their tenant's only."""

from __future__ import annotations

from typing import Any

from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import ErrorCode
from registry_api.db.session import Database, Session
from registry_api.http.pagination import PageRequest, decode_cursor
from registry_api.jobs.interface import Job
from registry_api.jobs.products.repository import ProductRows
from registry_api.jobs.repository import JobRepository
from registry_api.jobs.states import JobState
from registry_api.tunings.tables import TuningRow
from registry_api.tunings.values import TUNING

SOURCE: dict[str, Any] = {
    "model": "digits",
    "version": 1,
    "variant": "onnx-fp32/cpu",
    "format": "onnx",
    "variant_digest": "sha256:" + "0" * 64,
    "variant_signature_digest": "sha256:" + "1" * 64,
}


def rows_of(session: Session, tenant: str = "acme") -> ProductRows[TuningRow]:
    return ProductRows(session, tenant, TUNING, TuningRow)


async def added(database: Database, tenant: str = "acme", **columns: Any) -> Job:
    """The job of a new tuning."""
    async with database.write(tenant) as session:
        job = await JobRepository(session).add(TUNING.new_job(tenant), max_attempts=3, now=ManualClock().now())
        await rows_of(session, tenant).add(job, **SOURCE | columns)
    return job


async def test_a_product_is_read_with_its_job(database: Database) -> None:
    """Its id is the one its job names, its state its job's."""
    job = await added(database)
    async with database.read("acme") as session:
        row, found = await rows_of(session).get(TUNING.id_in(job))
    assert (row.job_id, row.model, row.created_at) == (job.id, "digits", job.created_at)
    assert (found, found.state) == (job, JobState.QUEUED)


async def test_what_is_made_is_written_once_it_is_there(database: Database) -> None:
    """The columns of what was made are empty before, and those of another product stay so."""
    job, other = await added(database), await added(database)
    async with database.write("acme") as session:
        await rows_of(session).finish(TUNING.id_in(job), document=b"{}", key_id="k")
    async with database.read("acme") as session:
        documents = [(await rows_of(session).get(TUNING.id_in(each)))[0].document for each in (job, other)]
    assert documents == [b"{}", None]


async def test_pages_go_from_the_newest_to_the_oldest(database: Database) -> None:
    """Every product of the tenant that meets the conditions, once."""
    jobs = [await added(database, version=number % 2) for number in range(6)]
    await added(database, "evil")
    wanted = [TUNING.id_in(job) for job in jobs[::-2]]
    async with database.read("acme") as session:
        first = await rows_of(session).page(PageRequest(limit=2), TuningRow.version == 1)
        assert first.next_cursor is not None
        after = PageRequest(limit=2, after=decode_cursor(first.next_cursor))
        rest = await rows_of(session).page(after, TuningRow.version == 1)
    assert [row.id for row, _job in (*first.items, *rest.items)] == wanted
    assert rest.next_cursor is None


async def test_another_tenants_product_is_not_there(database: Database) -> None:
    """Neither read nor written."""
    product = TUNING.id_in(await added(database))
    async with database.write("evil") as session:
        await rows_of(session, "evil").finish(product, document=b"evil", key_id="k")
        with refused(ErrorCode.TUNING_NOT_FOUND, product):
            await rows_of(session, "evil").get(product)
        assert (await rows_of(session, "evil").page(PageRequest())).items == ()
    async with database.read("acme") as session:
        assert (await rows_of(session).get(product))[0].document is None
