# SPDX-License-Identifier: Apache-2.0
"""Many at once on PostgreSQL, and a server that crashes under them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import text

from core.errors import Conflict, Unavailable
from deploy.local.components.postgres import PostgreSQL
from registry_api.db.session import Database
from registry_api.models.values import Stage
from registry_api.settings.registry import Settings
from tests.integration.registry_api.db.shop import TENANT, Shop, open_shop

CALLERS = 16
ROUNDS = 3  # of each caller after the last crash


async def column(db: Database, query: str) -> list[int]:
    async with db.read(TENANT) as session:
        return [row[0] for row in await session.execute(text(query))]


async def test_sixty_four_registrations_at_once_have_consecutive_numbers(postgres_settings: Settings) -> None:
    """1 to 64, each once; the model's counter says 64."""
    async with open_shop(_patient(postgres_settings)) as shop:
        await shop.register()
        numbers = await asyncio.gather(*(shop.register() for _ in range(63)))
        assert sorted(numbers) == list(range(2, 65))
        assert await column(shop.platform.db, "SELECT version FROM versions ORDER BY version") == list(range(1, 65))
        assert await column(shop.platform.db, "SELECT last_version FROM models") == [64]


async def test_sixty_four_promotions_at_once_leave_one_in_production(postgres_settings: Settings) -> None:
    """Each is answered with success or a conflict; one version is in PRODUCTION and the index would not let in two."""
    async with open_shop(_patient(postgres_settings)) as shop:
        versions = [await shop.register() for _ in range(64)]
        await asyncio.gather(*(shop.move(version, Stage.STAGING) for version in versions))
        found = await asyncio.gather(
            *(shop.move(version, Stage.PRODUCTION) for version in versions), return_exceptions=True
        )
        assert all(answer is None or isinstance(answer, Conflict) for answer in found), found
        in_production = await column(shop.platform.db, "SELECT version FROM versions WHERE stage = 'PRODUCTION'")
        assert len(in_production) == 1
        assert found[versions.index(in_production[0])] is None
        index = "SELECT 1 FROM pg_indexes WHERE tablename = 'versions' AND indexdef ~ 'UNIQUE.*WHERE.*PRODUCTION'"
        assert await column(shop.platform.db, index) == [1]


@dataclass
class Ledger:
    """What callers were told."""

    registered: list[int] = field(default_factory=list)
    promoted: list[int] = field(default_factory=list)
    unknown: int = 0  # answers that leave open whether the change took effect
    refused: int = 0  # answers that nothing was changed

    async def told(self, attempt: Callable[[], Awaitable[int]], into: list[int]) -> int | None:
        """The number that was answered; None if the database was away."""
        try:
            number = await attempt()
        except Unavailable as error:
            open_end = error.details.get("outcome") == "unknown"
            self.unknown, self.refused = self.unknown + open_end, self.refused + (not open_end)
            return None
        into.append(number)
        return number


async def _call(shop: Shop, ledger: Ledger, model: str, crashes_over: asyncio.Event) -> None:
    rounds = 0

    async def register() -> int:
        return await shop.register(model)

    while rounds < ROUNDS:
        number = await ledger.told(register, ledger.registered)
        if number is None:
            await asyncio.sleep(0.02)
            continue

        async def promote(number: int = number) -> int:
            await shop.move(number, Stage.STAGING, model=model)
            return number

        await ledger.told(promote, ledger.promoted)
        rounds += crashes_over.is_set()


async def test_a_server_that_crashes_under_load_loses_nothing(
    postgres: PostgreSQL, postgres_settings: Settings
) -> None:
    """Three immediate restarts under sixteen callers: what was answered is there, once; nothing else is, but for the answers
    that said so; every other error says to come back; the same process goes on."""
    async with open_shop(_patient(postgres_settings)) as shop:
        await shop.register("m0")
        ledgers = [Ledger() for _ in range(CALLERS)]
        over = asyncio.Event()
        callers = [asyncio.create_task(_call(shop, ledger, f"m{at}", over)) for at, ledger in enumerate(ledgers)]
        for _ in range(3):
            await asyncio.sleep(0.6)
            await asyncio.to_thread(postgres.stop, immediate=True)
            await asyncio.to_thread(postgres.start)
        over.set()
        await asyncio.gather(*callers)
        assert sum(ledger.refused + ledger.unknown for ledger in ledgers) > 0  # the crashes were felt
        for at, ledger in enumerate(ledgers):
            await _check(shop.platform.db, ledger, f"m{at}", before=1 if at == 0 else 0)


async def _check(db: Database, ledger: Ledger, model: str, *, before: int) -> None:
    of_model = f"model_id = (SELECT id FROM models WHERE name = '{model}')"
    versions = await column(db, f"SELECT version FROM versions WHERE {of_model} ORDER BY version")
    assert versions == list(range(1, len(versions) + 1))
    assert _twice(ledger.registered) == []
    assert set(ledger.registered) <= set(versions)
    assert len(versions) <= before + len(ledger.registered) + ledger.unknown
    moved = await column(db, f"SELECT version FROM versions WHERE {of_model} AND stage = 'STAGING'")
    assert set(ledger.promoted) <= set(moved)
    assert len(moved) <= len(ledger.promoted) + ledger.unknown


def _twice(numbers: Sequence[int]) -> list[int]:
    return [number for number in set(numbers) if numbers.count(number) > 1]


def _patient(settings: Settings) -> Settings:
    """Sixty-four callers on two processors need more than the folder's short limits."""
    limits = {"lock_seconds": 30.0, "statement_seconds": 30.0, "pool_wait_seconds": 60.0}
    return settings.model_copy(update={"database": settings.database.model_copy(update=limits)})
