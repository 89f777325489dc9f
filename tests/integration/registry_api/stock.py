# SPDX-License-Identifier: Apache-2.0
"""Stopped registries, made once per session and copied for each test: what many tests start from is paid for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.components.postgres import PostgresDatabase
from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.rest import Api, open_api


@dataclass(frozen=True, kw_only=True)
class Stock:
    """A stopped registry; to be copied, never opened."""

    home: Path
    database: str | None  # the name of its database on PostgreSQL; None: SQLite, in ``home``


def stocked(
    home: Path, furnish: Callable[[Api], Awaitable[None]], *, database: PostgresDatabase | None = None
) -> Stock:
    """Starts a registry, furnishes it and stops it. Not for a thread that runs an event loop.

    Args:
        home: Its folder.
        furnish: What it is to hold.
        database: An empty one with the present schema; None: SQLite, in ``home``.
    """

    async def make() -> None:
        async with open_api(home, database=settings_of(database)) as api:
            await furnish(api)

    asyncio.run(make())
    return Stock(home=home, database=None if database is None else database.name)


def settings_of(database: PostgresDatabase | None) -> DatabaseSettings:
    """How a registry finds its database."""
    if database is None:
        return DatabaseSettings()
    return DatabaseSettings(url=database.url, owner_url=database.owner_url)
