# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL is restarted and killed while clients push and promote: they are told to wait, and everything gets done."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from deploy.local.components.postgres import PostgresDatabase, PostgreSQL
from furoshiki import Retry
from tests.integration.faults.clients import Clients, check
from tests.integration.faults.forked import ForkedRegistry, eventually

RESTARTS: Final = 6


@pytest.mark.slow
@pytest.mark.fault("PostgreSQL restarted, killed or cut off")
def test_restarted_under_load_every_call_is_done_once(
    tmp_path: Path,
    chance: random.Random,
    postgres: PostgreSQL,
    postgres_database: PostgresDatabase,
    record_property: Callable[[str, object], None],
) -> None:
    """Six restarts, half of them by kill -9: clients get answers or are told to repeat, and nothing is lost or twice."""
    settings = {
        "FUROSHIKI_DATABASE__URL": postgres_database.url,
        "FUROSHIKI_DATABASE__OWNER_URL": postgres_database.owner_url,
    }
    with closing(ForkedRegistry(tmp_path / "home", settings)) as registry:
        registry.start()
        clients = Clients(registry, tmp_path / "sources", retry=Retry())
        with clients.client() as client:
            client.models.create("digits")

            def restart() -> None:
                for n in range(RESTARTS):
                    time.sleep(chance.uniform(0.3, 1.2))
                    postgres.kill() if n % 2 else postgres.stop()
                    time.sleep(chance.uniform(0, 0.5))
                    postgres.start()
                before = len(clients.pushed), len(clients.promoted)
                eventually(
                    lambda: (
                        bool(clients.failed) or (len(clients.pushed) > before[0] and len(clients.promoted) > before[1])
                    ),
                    lambda: f"nothing is done after the restarts: {registry.log[-4000:]}",
                )

            clients.work_while(restart)
            assert clients.failed == []
            check(client, clients, tmp_path, every=True)
    record_property("restarts", RESTARTS)
    record_property("pushes answered", len(clients.pushed))
    record_property("promotions answered", len(clients.promoted))
    record_property("calls told to repeat", clients.told_to_repeat)
    assert clients.pushed
    assert clients.promoted
