# SPDX-License-Identifier: Apache-2.0
"""Opens a write transaction, adds a model, says so, and waits to be killed. Arguments: home, url, owner's url."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from registry_api.bootstrap.database import open_database
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings
from registry_api.tenancy.repository import lock_tenant
from tests.integration.registry_api.db.rows import model_row


async def _main(home: str, url: str, owner_url: str) -> None:
    db = await open_database(Settings(home=Path(home), database=DatabaseSettings(url=url, owner_url=owner_url)))
    async with db.write("acme") as session:
        await lock_tenant(session, "acme")
        session.add(model_row("acme", "half"))
        await session.flush()
        print("added", flush=True)
        await asyncio.sleep(3600)


asyncio.run(_main(*sys.argv[1:4]))
