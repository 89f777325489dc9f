# SPDX-License-Identifier: Apache-2.0
"""What the ORM does in a tenant's transaction, on both kinds of database. No statement here names a tenant by itself."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.orm import aliased

from registry_api.db.scope import ForeignTenant
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.models.tables import ModelRow
from registry_api.tenancy.tables import TenantRow
from tests.integration.registry_api.db.rows import NOW, add_tenants, model_row

FIELDS = {"description": "", "tags": [], "last_version": 0, "created_at": NOW, "updated_at": NOW}


@pytest.fixture(autouse=True)
async def tenants(either: Database) -> None:
    await add_tenants(either, "acme", "globex")


@pytest.mark.parametrize(
    ("tenant", "seen"), [("acme", ["acme"]), ("globex", ["globex"]), (EVERY_TENANT, ["acme", "globex"])]
)
async def test_every_select_sees_the_rows_of_its_tenant(either: Database, tenant: str, seen: list[str]) -> None:
    """Entities, columns, aliases, subqueries, counts and lookups by key; every tenant sees the same statement differently."""
    alias = aliased(ModelRow)
    async with either.read(tenant) as session:
        rows = (await session.scalars(select(ModelRow))).all()
        assert sorted(row.tenant for row in rows) == seen
        assert sorted(await session.scalars(select(alias.tenant))) == seen
        assert sorted(await session.scalars(select(TenantRow.name))) == seen
        assert await session.scalar(select(func.count(ModelRow.id))) == len(seen)
        inner = exists().where(ModelRow.tenant == "globex").select()
        assert await session.scalar(inner) is ("globex" in seen)
        assert (await session.get(TenantRow, "globex") is not None) is ("globex" in seen)


async def test_updates_and_deletes_touch_the_rows_of_their_tenant(either: Database) -> None:
    """Without a condition they change one tenant's rows; the other's stay."""
    async with either.write("acme") as session:
        await session.execute(update(ModelRow).values(description="changed"))
    async with either.read(EVERY_TENANT) as session:
        found = {row.tenant: row.description for row in await session.scalars(select(ModelRow))}
        assert found == {"acme": "changed", "globex": ""}
    async with either.write("acme") as session:
        await session.execute(delete(ModelRow))
    async with either.read(EVERY_TENANT) as session:
        assert (await session.scalars(select(ModelRow.tenant))).all() == ["globex"]


async def test_a_row_of_another_tenant_cannot_be_written(either: Database) -> None:
    """By adding it, by one INSERT, by one of many, or by giving a row away; nothing of the transaction remains."""

    async def add() -> None:
        async with either.write("acme") as session:
            session.add(model_row("globex", "stolen"))

    async def insert_one() -> None:
        async with either.write("acme") as session:
            await session.execute(insert(ModelRow).values(tenant="globex", name="stolen", **FIELDS))

    async def insert_many() -> None:
        rows = [{"tenant": tenant, "name": "stolen", **FIELDS} for tenant in ("acme", "globex")]
        async with either.write("acme") as session:
            await session.execute(insert(ModelRow), rows)

    async def give_away() -> None:
        async with either.write("acme") as session:
            row = (await session.scalars(select(ModelRow))).one()
            row.tenant = "globex"

    for attempt in (add, insert_one, insert_many, give_away):
        with pytest.raises(ForeignTenant):
            await attempt()
    async with either.read(EVERY_TENANT) as session:
        found = (await session.execute(select(ModelRow.tenant, ModelRow.name).order_by(ModelRow.tenant))).all()
    assert [tuple(row) for row in found] == [("acme", "digits"), ("globex", "digits")]


async def test_a_tenant_may_write_its_own_rows(either: Database) -> None:
    """One and many at once."""
    async with either.write("acme") as session:
        await session.execute(insert(ModelRow), [{"tenant": "acme", "name": f"m{at}", **FIELDS} for at in range(3)])
        session.add(model_row("acme", "m3"))
    async with either.read("acme") as session:
        assert await session.scalar(select(func.count(ModelRow.id))) == 5
