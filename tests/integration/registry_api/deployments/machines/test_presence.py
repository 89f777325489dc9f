# SPDX-License-Identifier: Apache-2.0
"""Machines hear of each other through the database, SQLite and PostgreSQL, by beats and not by clocks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.clock import ManualClock
from registry_api.db.session import EVERY_TENANT
from registry_api.deployments.machines.presence import Presence
from registry_api.deployments.machines.repository import MachineRepository
from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.rest import Api, open_api

SECONDS = 60.0


@pytest.fixture
async def api(tmp_path: Path, database: DatabaseSettings) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "home", database=database) as api:
        yield api


async def known(api: Api) -> set[str]:
    """The machines that are written of."""
    async with api.platform.db.read(EVERY_TENANT) as session:
        return set(await MachineRepository(session).all())


async def test_a_machine_that_stops_beating_is_silent_whatever_its_clock_says(api: Api) -> None:
    """Clocks that differ or are set back do not count; a minute without a beat does; with nothing there, it is forgotten."""
    here, there = ManualClock(), ManualClock(datetime(1999, 1, 1, tzinfo=UTC))
    listener = Presence(api.platform.db, here, host="here", seconds=SECONDS)
    other = Presence(api.platform.db, there, host="there", seconds=SECONDS)
    for _look in range(10):
        await other.look()
        here.advance(20.0)
        there.set_back(3600.0)
        await listener.look()
        assert listener.silent == frozenset()
    for _look in range(3):
        here.advance(20.0)
        await listener.look()
    assert listener.silent == {"there"}
    assert listener.told("there") == "Machine there has not been heard of since 1998-12-31T15:00:00.000Z"
    assert await known(api) == {"here"}
    await listener.look()
    assert listener.silent == frozenset()
    await other.look()
    assert await known(api) == {"here", "there"}


async def test_two_workers_of_one_machine_are_one_machine(api: Api) -> None:
    """As long as one of them beats, it is there; and nobody is silent to himself."""
    clock = ManualClock()
    one, two, far = (Presence(api.platform.db, clock, host=host, seconds=SECONDS) for host in ("a", "a", "b"))
    await one.look()
    for _look in range(9):
        await two.look()
        clock.advance(10.0)
        await far.look()
    assert (two.silent, far.silent) == (frozenset(), frozenset())
