# SPDX-License-Identifier: Apache-2.0
"""Products in the database: written with their job, read with their job, their tenant's only."""

from __future__ import annotations

from dataclasses import replace

from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import ErrorCode
from registry_api.builds.repository import BuildRepository
from registry_api.builds.values import BUILD, Bento, Build
from registry_api.db.session import Database
from registry_api.http.pagination import PageRequest, decode_cursor
from registry_api.jobs.repository import JobRepository
from registry_api.jobs.states import JobState
from registry_api.models.source import Source

BENTO = Bento(
    tag="acme.digits:v1",
    size=1,
    digest="sha256:" + "2" * 64,
    signature_digest="sha256:" + "3" * 64,
    archive_digest="sha256:" + "4" * 64,
    key_id="k",
)


async def added(database: Database, source: Source) -> Build:
    """A new build."""
    async with database.write(source.tenant) as session:
        job = await JobRepository(session).add(BUILD.new_job(source.tenant), max_attempts=3, now=ManualClock().now())
        return await BuildRepository(session, source.tenant).add(source, job)


async def test_a_product_is_read_with_its_job(database: Database, source: Source) -> None:
    """Its id is the one its job names, its state its job's."""
    build = await added(database, source)
    async with database.read("acme") as session:
        found = await BuildRepository(session, "acme").get(BUILD.id_in(build.job))
    assert found == build
    assert (found.source, found.created_at, found.job.state) == (source, build.job.created_at, JobState.QUEUED)


async def test_what_is_made_is_written_once_it_is_there(database: Database, source: Source) -> None:
    """The columns of what was made are empty before, and those of another product stay so."""
    build, other = await added(database, source), await added(database, source)
    async with database.write("acme") as session:
        await BuildRepository(session, "acme").finish(build.id, BENTO)
    async with database.read("acme") as session:
        bentos = [(await BuildRepository(session, "acme").get(each.id)).bento for each in (build, other)]
    assert bentos == [BENTO, None]


async def test_pages_go_from_the_newest_to_the_oldest(database: Database, source: Source) -> None:
    """Every product of the tenant, or of one version, once."""
    builds = [await added(database, replace(source, version=number % 2 + 1)) for number in range(6)]
    await added(database, replace(source, tenant="evil"))
    async with database.read("acme") as session:
        rows = BuildRepository(session, "acme")
        first = await rows.page(PageRequest(limit=2), model="digits", version=2)
        assert first.next_cursor is not None
        after = PageRequest(limit=2, after=decode_cursor(first.next_cursor))
        rest = await rows.page(after, model="digits", version=2)
        all_of_them = await rows.page(PageRequest())
    assert [build.id for build in (*first.items, *rest.items)] == [build.id for build in builds[::-2]]
    assert rest.next_cursor is None
    assert [build.id for build in all_of_them.items] == [build.id for build in builds[::-1]]


async def test_another_tenants_product_is_not_there(database: Database, source: Source) -> None:
    """Neither read nor written."""
    build = await added(database, source)
    async with database.write("evil") as session:
        rows = BuildRepository(session, "evil")
        await rows.finish(build.id, BENTO)
        with refused(ErrorCode.BUILD_NOT_FOUND, build.id):
            await rows.get(build.id)
        assert (await rows.page(PageRequest())).items == ()
    async with database.read("acme") as session:
        assert (await BuildRepository(session, "acme").get(build.id)).bento is None
