# SPDX-License-Identifier: Apache-2.0
"""What the owner of the tables gives the application's role on PostgreSQL, and what that role can do."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from registry_api.db import row_security
from registry_api.db.engine import create_engine
from registry_api.db.faults import connecting
from registry_api.db.passes import TenantPasses


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How well tenants are kept apart by the database itself."""

    weaknesses: tuple[str, ...]  # why the role is not bound by row-level security; empty: it is
    unprotected: tuple[str, ...]  # tables of tenants whose policy is not in force


async def hand_over(owner_url: str, url: str) -> TenantPasses | None:
    """Gives the application's role its rights and takes the key of the passes from the owner's table.

    Args:
        owner_url: The database as its owner.
        url: The database as the application's role.

    Raises:
        Unavailable: ``STORE_001`` if the database cannot be reached.
    """
    role = make_url(url).username
    owner = make_url(owner_url).username

    def give(connection: Connection) -> TenantPasses | None:
        if role is not None and role != owner:
            row_security.grant(connection, role)
        return row_security.read_key(connection)

    engine = create_engine(owner_url)
    try:
        with connecting():
            async with engine.begin() as connection:
                return await connection.run_sync(give)
    finally:
        await engine.dispose()


async def standing(engine: AsyncEngine) -> Standing:
    """What the application's role may do beyond its rights, and what is not protected.

    Raises:
        Unavailable: ``STORE_001`` if the database cannot be reached.
    """

    def look(connection: Connection) -> Standing:
        return Standing(
            weaknesses=tuple(row_security.weaknesses(connection)),
            unprotected=tuple(row_security.unprotected(connection)),
        )

    with connecting():
        async with engine.connect() as connection:
            return await connection.run_sync(look)
