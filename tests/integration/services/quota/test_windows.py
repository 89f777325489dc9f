# SPDX-License-Identifier: Apache-2.0
"""Hourly and daily quotas through a real Redis: right over processes, restarts, a flushed Redis and a wrong clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from artifacts.coordination.link import Link
from core.clock import SystemClock
from core.errors import Overloaded, Unavailable
from deploy.local.components.redis import RedisServer
from deploy.local.components.redis import redis as running_redis
from services.dataplane.gate import Gate
from services.dataplane.quota.leases import IDLE_S
from services.dataplane.quota.script import LEASE_WINDOWS
from services.dataplane.quota.shared import SharedThroughRedis
from services.edge.context import Principal, TenantLimits

CLOCK = SystemClock()
HOUR = 3600.0


@asynccontextmanager
async def gates(server: RedisServer, count: int, *, windows_shut: bool = False) -> AsyncIterator[list[Gate]]:
    """The gates of ``count`` processes."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            link = Link(server.url, timeout_s=0.5, clock=CLOCK)
            stack.push_async_callback(link.close)
            sharing = SharedThroughRedis(
                link, processes=count, prefix="test", clock=CLOCK, windows_shut=windows_shut, rates_shut=windows_shut
            )
            await sharing.start()
            made.append(Gate(sharing=sharing, clock=CLOCK))
            stack.push_async_callback(made[-1].close)
        yield made


def tenant(name: str = "acme", **limits: int) -> Principal:
    return Principal(tenant=name, key_id="k", limits=TenantLimits(**limits))


async def drain(gate: Gate, who: Principal, *, quiet_s: float = 0.7) -> int:
    """Sends until nothing has passed for ``quiet_s``; how many passed."""
    count, last = 0, CLOCK.monotonic()
    while CLOCK.monotonic() - last < quiet_s:
        try:
            gate.enter(who)
        except Overloaded:
            await asyncio.sleep(0.005)
        else:
            gate.leave(who)
            count, last = count + 1, CLOCK.monotonic()
            if not count % 20:
                await asyncio.sleep(0.001)
    return count


async def use(gate: Gate, who: Principal, count: int) -> None:
    """Sends until ``count`` requests have passed."""
    async with asyncio.timeout(10):
        while count:
            try:
                gate.enter(who)
            except Overloaded:
                await asyncio.sleep(0.005)
            else:
                gate.leave(who)
                count -= 1


@pytest.fixture(autouse=True)
async def not_at_the_end_of_an_hour() -> None:
    """A window that ends within a test would double what passes."""
    left = HOUR - CLOCK.now().timestamp() % HOUR
    if left < 20:
        await asyncio.sleep(left + 0.1)


async def test_processes_share_one_quota(redis: RedisServer) -> None:
    """Four that send as fast as they can get it all, and together at most one hundredth more."""
    who = tenant(requests_per_hour=2_000)
    async with gates(redis, 4) as made:
        total = sum(await asyncio.gather(*(drain(gate, who) for gate in made)))
    assert 2_000 - 4 <= total <= 2_020


async def test_a_process_gets_what_others_do_not_use(redis: RedisServer) -> None:
    """What an idle process held is handed back, and all is used."""
    who = tenant(requests_per_day=300)
    async with gates(redis, 4) as made:
        await use(made[1], who, 200)
        assert await drain(made[2], who, quiet_s=2 * IDLE_S) == pytest.approx(100, abs=3)
        with pytest.raises(Overloaded, match="300 requests per day") as caught:
            made[2].enter(who)
    assert 0 < (caught.value.retry_after or 0) <= 86_400


async def test_quotas_survive_a_restart_of_the_services(redis: RedisServer) -> None:
    """600 used, all processes stopped; those that start later find 400, in the hour that began."""
    who = tenant(requests_per_hour=1_000)
    async with gates(redis, 2) as made:
        await use(made[0], who, 600)
    async with gates(redis, 2) as made:
        assert sum(await asyncio.gather(*(drain(gate, who) for gate in made))) == pytest.approx(400, abs=5)


async def test_quotas_survive_a_restart_of_redis_and_services(tmp_path: Path) -> None:
    """Where Redis writes to its append-only file, killing everything loses nothing."""
    who = tenant(requests_per_hour=100)
    with running_redis(tmp_path, persistent=True) as server:
        async with gates(server, 1) as (gate,):
            assert await drain(gate, who) == pytest.approx(100, abs=1)
        server.kill()
        server.start()
        async with gates(server, 1) as (gate,):
            assert await drain(gate, who) <= 1


@pytest.mark.parametrize("how", ["flushed", "flushed while nobody asks", "killed"])
async def test_redis_that_forgot_is_told_what_was_used(redis: RedisServer, how: str) -> None:
    """The processes remember what all had taken: no error, and no second quota."""
    who = tenant(requests_per_hour=1_000)
    async with gates(redis, 3) as made:
        await use(made[0], who, 600)
        if how == "flushed":
            redis.flush()
        elif how == "flushed while nobody asks":
            await asyncio.sleep(2 * IDLE_S)
            redis.flush()
            await asyncio.sleep(IDLE_S)
        else:
            redis.kill()
            await asyncio.sleep(0.3)
            redis.start()
            async with asyncio.timeout(10):
                while not all(gate._sharing.shared for gate in made):  # type: ignore[attr-defined]
                    await asyncio.sleep(0.02)
        after = sum(await asyncio.gather(*(drain(gate, who, quiet_s=1.5) for gate in made)))
    assert after == pytest.approx(400, abs=30)


async def test_scripts_that_redis_forgot_are_sent_again(redis: RedisServer) -> None:
    """SCRIPT FLUSH in mid-work changes nothing."""
    who = tenant(requests_per_hour=500)
    async with gates(redis, 1) as (gate,):
        await use(gate, who, 200)
        redis.client.script_flush()
        assert await drain(gate, who) == pytest.approx(300, abs=5)
        assert gate._sharing.shared  # type: ignore[attr-defined]


async def test_without_redis_quotas_are_shut_where_that_was_set(redis: RedisServer) -> None:
    """Nothing passes for tenants with limits, everything for others; back again, all is as before."""
    limited, free = tenant(requests_per_hour=100), tenant("free")
    async with gates(redis, 1, windows_shut=True) as (gate,):
        gate.enter(limited)
        redis.kill()
        async with asyncio.timeout(5):
            while gate._sharing.shared:  # type: ignore[attr-defined]
                await asyncio.sleep(0.02)
        with pytest.raises(Unavailable):
            gate.enter(limited)
        gate.enter(free)
        redis.start()
        async with asyncio.timeout(10):
            while not gate._sharing.shared:  # type: ignore[attr-defined]
                await asyncio.sleep(0.02)
        gate.enter(limited)


def lease(redis: RedisServer, generation: str, want: int, number: int, taken: int, balance: int) -> list[Any]:
    """One lease of a tenant with 100 requests per hour and no limit per day, as a process sends it."""
    arguments = [generation, want, 100, HOUR, number, taken, balance, -1, 24 * HOUR, number // 24, taken, balance]
    return list(redis.client.eval(LEASE_WINDOWS, 1, "test:{acme}:windows", *map(str, arguments)))


def test_a_clock_set_back_goes_on_with_the_window_that_began(redis: RedisServer) -> None:
    """Redis an hour behind its own past: what was used stays used. Days ahead of the present: a new window begins."""
    now = int(redis.client.time()[0] // HOUR)
    lease(redis, "", 60, now, 0, 0)
    redis.client.hset("test:{acme}:windows", "1:number", now + 1)
    assert lease(redis, "", 60, now, 0, 0)[1:4] == [40, now + 1, "100"]
    redis.client.hset("test:{acme}:windows", "1:number", now + 50)
    assert lease(redis, "", 60, now, 0, 0)[1:4] == [60, now, "60"]


def test_the_highest_that_any_process_heard_counts(redis: RedisServer) -> None:
    """After a flush: 30 from one, 70 from another, what was granted meanwhile on top; each is believed once."""
    now = int(redis.client.time()[0] // HOUR)
    generation, granted = lease(redis, "old", 10, now, 30, 0)[:2]
    assert granted == 10
    assert lease(redis, "old", 0, now, 70, 0)[3] == "80"
    assert lease(redis, "old", 0, now, 30, 0)[3] == "80"
    assert lease(redis, generation, 0, now, 99, 0)[3] == "80"
    assert lease(redis, generation, 0, now, 80, 10)[3] == "70"
    assert lease(redis, "old", 0, now - 1, 99, 5)[3] == "70", "an earlier hour's balance is dropped"
