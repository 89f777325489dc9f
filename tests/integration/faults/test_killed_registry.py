# SPDX-License-Identifier: Apache-2.0
"""The registry's process is killed at random moments while clients push and promote.

After each restart: every answer that was given still holds, nothing was done twice, and whatever is visible is whole.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.integration.faults.clients import ONCE, Clients, check
from tests.integration.faults.forked import ForkedRegistry

MOMENTS: Final = 20


@pytest.mark.slow
@pytest.mark.fault("kill -9 of the registry while models are pushed and promoted")
def test_killed_at_random_moments_nothing_is_lost_twice_or_half(
    tmp_path: Path,
    chance: random.Random,
    environment: Mapping[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    """Twenty kills: whatever the clients were told holds, whatever they were not told is whole or not there."""
    with closing(ForkedRegistry(tmp_path / "home", environment)) as registry:
        registry.start()
        clients = Clients(registry, tmp_path / "sources", retry=ONCE)
        with clients.client() as client:
            client.models.create("digits")
            clients.push(client)
            began = time.monotonic()
            clients.push(client)
            longest = 3 * (time.monotonic() - began)
        for _ in range(MOMENTS):

            def kill() -> None:
                time.sleep(chance.uniform(0, longest))
                registry.kill()

            clients.work_while(kill)
            registry.start()
            with clients.client() as client:
                check(client, clients, tmp_path, every=False)
        with clients.client() as client:
            check(client, clients, tmp_path, every=True)
            versions = len(list(client.versions.list("digits")))
    record_property("kills", MOMENTS)
    record_property("pushes answered", len(clients.pushed))
    record_property("pushes cut", len(clients.notes) - versions)
    record_property("promotions answered", len(clients.promoted))
    assert clients.failed == []
    assert clients.pushed
    assert clients.promoted
