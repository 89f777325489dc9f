# SPDX-License-Identifier: Apache-2.0
"""What is asked of the registry, through its own services."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import event

from loadtests.registry.seed import TENANT, VERSIONS_PER_MODEL
from registry_api.db.session import Database
from registry_api.http.pagination import PageRequest
from registry_api.http.services import Services
from registry_api.models.service import ModelService
from registry_api.models.values import Stage
from registry_api.usage.service import UsageService
from registry_api.usage.values import RequestQuery, Status

Ask: TypeAlias = Callable[[], Awaitable[object]]

_WARM: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one question took, milliseconds, and what it asked the database."""

    name: str
    p50: float
    p99: float
    statements: tuple[str, ...]  # of one asking, each with its plan


def questions(services: Services, models: int) -> Mapping[str, Ask]:
    """Each asks for another model, version or moment every time."""
    catalogue, usage, chance = services.get(ModelService), services.get(UsageService), random.Random(0)

    def model() -> str:
        number = chance.randrange(models) + 1
        return f"model-{number - 1 if number % 10 == 0 else number}"  # every tenth is the other tenant's

    def version() -> int:
        return chance.randrange(VERSIONS_PER_MODEL) + 1

    def day(**more: Any) -> RequestQuery:
        start = datetime.now(UTC) - timedelta(days=chance.randrange(2, 29))
        return RequestQuery(tenant=TENANT, start=start, end=start + timedelta(days=1), **more)

    return {
        "list models": lambda: catalogue.page(TENANT, PageRequest()),
        "list versions": lambda: catalogue.versions(TENANT, model(), PageRequest()),
        "list versions, deep": lambda: catalogue.versions(TENANT, model(), PageRequest(after=(version(),))),
        "list versions by stage": lambda: catalogue.versions(TENANT, model(), PageRequest(), stage=Stage.STAGING),
        "get a version": lambda: catalogue.version(TENANT, model(), version()),
        "resolve to production": lambda: catalogue.resolve(TENANT, model()),
        "resolve an alias": lambda: catalogue.resolve(TENANT, model(), alias="champion"),
        "requests of a day": lambda: usage.page(day(), PageRequest()),
        "requests of a day, one model": lambda: usage.page(day(model=model()), PageRequest()),
        "failed requests of a day": lambda: usage.page(day(status=Status.FAILED), PageRequest()),
    }


async def answer(db: Database, name: str, ask: Ask, *, times: int) -> Answered:
    """Asks until warm, then ``times`` times, one after the other; then once more for the plans."""
    for _ in range(_WARM):
        await ask()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - start) * 1e3)
    taken.sort()
    with _watched(db) as asked:
        await ask()
    plans = [await _plan(db, statement, values) for statement, values in asked]
    p50, p99 = taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 99 // 100)]
    return Answered(name=name, p50=p50, p99=p99, statements=tuple(plans))


@contextmanager
def _watched(db: Database) -> Iterator[list[tuple[str, Any]]]:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        if "set_config" not in statement:
            asked.append((statement, values))

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(db.engine.sync_engine, "before_cursor_execute", note)


async def _plan(db: Database, statement: str, values: Any) -> str:
    async with db.read(TENANT) as session:
        connection = await session.connection()
        lines = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", values)
        plan = "\n".join(row[0] for row in lines)
    return f"{statement}\n\n{plan}"
