# SPDX-License-Identifier: Apache-2.0
"""Limits shared through a real Redis: exact in the long run, given back, and never in the way when Redis is not there."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from artifacts.coordination.link import Link
from core.clock import SystemClock
from core.errors import ErrorCode, Overloaded
from deploy.local.components.redis import RedisServer
from services.dataplane.gate import Gate
from services.dataplane.quota.leases import SLOTS_LIFETIME_S
from services.dataplane.quota.script import LEASE_TOKENS, keys_of
from services.dataplane.quota.shared import SharedThroughRedis
from services.edge.context import Principal, TenantLimits

PREFIX = "test"
CLOCK = SystemClock()


def made(server: RedisServer, processes: int) -> tuple[Gate, SharedThroughRedis]:
    """A gate as one of some processes has it."""
    link = Link(server.url, timeout_s=0.5, clock=CLOCK)
    sharing = SharedThroughRedis(link, processes=processes, prefix=PREFIX, clock=CLOCK)
    return Gate(sharing=sharing, clock=CLOCK), sharing


@asynccontextmanager
async def gates(server: RedisServer, count: int, *, processes: int | None = None) -> AsyncIterator[list[Gate]]:
    """The gates of ``count`` processes."""
    async with AsyncExitStack() as stack:
        all_gates = []
        for _ in range(count):
            gate, sharing = made(server, processes or count)
            await sharing.start()
            stack.push_async_callback(sharing._link.close)
            stack.push_async_callback(gate.close)
            all_gates.append(gate)
        yield all_gates


def tenant(name: str = "acme", **limits: float) -> Principal:
    return Principal(tenant=name, key_id="k", limits=TenantLimits(**limits))  # type: ignore[arg-type]


def passes(gate: Gate, who: Principal) -> bool:
    try:
        gate.enter(who)
    except Overloaded as refusal:
        assert refusal.code == ErrorCode.QUOTA_EXCEEDED  # noqa: PT017 -- most calls do not raise
        return False
    gate.leave(who)
    return True


async def until(true: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Waits for something that another task brings about."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def hammer(gate: Gate, who: Principal, seconds: float) -> int:
    """Tries every two milliseconds; how many requests passed."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        count += passes(gate, who)
        await asyncio.sleep(0.002)
    return count


async def test_processes_share_one_rate(redis: RedisServer) -> None:
    """Four that are hammered together get what one would: the burst and the rate, not four times that."""
    who = tenant(requests_per_second=200, burst=40)
    async with gates(redis, 4) as all_gates:
        seconds = 2.0
        counts = await asyncio.gather(*(hammer(gate, who, seconds) for gate in all_gates))
    fair = 40 + 200 * seconds
    assert 0.6 * fair <= sum(counts) <= 1.1 * fair + 40
    assert min(counts) > 0


async def test_one_process_can_use_all_of_it(redis: RedisServer) -> None:
    """A tenant whose requests all reach one of four processes is not held to a quarter."""
    who = tenant(requests_per_second=100, burst=20)
    async with gates(redis, 1, processes=4) as (gate,):
        assert await hammer(gate, who, 2.0) >= 120


async def test_a_slow_tenant_is_never_refused(redis: RedisServer) -> None:
    """Half its rate, spread over processes, always passes: tokens leased ahead do not get lost."""
    who = tenant(requests_per_second=20, burst=4)
    async with gates(redis, 4) as all_gates:
        for n in range(30):
            assert passes(all_gates[n % 4], who)
            await asyncio.sleep(0.1)


async def test_unused_tokens_are_given_back(redis: RedisServer) -> None:
    """A process that took a chunk and fell idle returns it; the bucket is whole again but for what was used."""
    who = tenant(requests_per_second=0.001, burst=100)
    async with gates(redis, 1, processes=2) as (gate,):
        assert passes(gate, who)
        key = keys_of(PREFIX, "acme").tokens
        await until(lambda: bool(redis.client.exists(key)))
        assert float(redis.client.hget(key, "tokens") or 0) < 60
        await until(lambda: float(redis.client.hget(key, "tokens") or 0) == pytest.approx(99, abs=0.1))


async def test_a_process_that_stops_gives_everything_back(redis: RedisServer) -> None:
    """Tokens and slots, at once; closing twice does nothing."""
    who = tenant(requests_per_second=0.001, burst=100, concurrent_requests=8)
    keys = keys_of(PREFIX, "acme")
    async with gates(redis, 1) as (gate,):
        for _ in range(7):
            gate.enter(who)
        await until(lambda: bool(redis.client.exists(keys.slots)))
        for _ in range(7):
            gate.leave(who)
        await gate.close()
    assert float(redis.client.hget(keys.tokens, "tokens") or 0) == pytest.approx(93, abs=0.1)
    assert not redis.client.exists(keys.slots)


async def test_what_was_spent_in_advance_is_paid(redis: RedisServer) -> None:
    """Each process may let one request pass before it asked; the debt is in Redis, and is waited for."""
    who = tenant(requests_per_second=5, burst=1)
    async with gates(redis, 3) as all_gates:
        started = time.monotonic()
        assert [passes(gate, who) for gate in all_gates] == [True] * 3
        await asyncio.sleep(0.1)
        assert float(redis.client.hget(keys_of(PREFIX, "acme").tokens, "tokens") or 0) == pytest.approx(-2, abs=0.3)
        waits = []
        for gate in all_gates:
            with pytest.raises(Overloaded) as caught:
                gate.enter(who)
            waits.append(caught.value.retry_after or 0)
        assert max(waits) == pytest.approx(0.6 - (time.monotonic() - started), abs=0.1)
        await asyncio.sleep(max(waits))
        assert passes(all_gates[waits.index(max(waits))], who)


async def test_processes_share_slots(redis: RedisServer) -> None:
    """One may use all; another that then wants some gets its share as the first one's requests end."""
    who = tenant(concurrent_requests=8)
    async with gates(redis, 2) as (first, second):
        taken = 0
        async with asyncio.timeout(5):
            while taken < 8:
                try:
                    first.enter(who)
                    taken += 1
                except Overloaded:
                    pass
                await asyncio.sleep(0.02)
        with pytest.raises(Overloaded):
            first.enter(who)
        second.enter(who)  # in advance: nobody has told it yet
        others = second._accounts["acme"]
        await until(lambda: others.slots == 0)
        with pytest.raises(Overloaded) as caught:
            second.enter(who)
        assert caught.value.retry_after == 1.0
        for _ in range(6):
            first.leave(who)
        await until(lambda: others.slots >= 4)
        assert first._accounts["acme"].slots + others.slots <= 8


async def test_slots_of_a_process_that_died_come_back(redis: RedisServer) -> None:
    """What it held ends by itself."""
    who = tenant(concurrent_requests=4)
    dead, sharing = made(redis, 2)
    await sharing.start()
    async with gates(redis, 1, processes=2) as (alive,):
        for _ in range(2):
            dead.enter(who)
        dead.leave(who)
        await until(lambda: bool(redis.client.exists(keys_of(PREFIX, "acme").slots)))
        assert sharing._task is not None
        sharing._task.cancel()
        alive.enter(who)
        alive.enter(who)
        account = alive._accounts["acme"]
        await until(lambda: account.slots == 4, within_s=2 * SLOTS_LIFETIME_S)
    await sharing._link.close()


def shared() -> float | None:
    return REGISTRY.get_sample_value("furoshiki_quota_shared")


async def test_without_redis_each_process_goes_on_with_its_share(redis: RedisServer) -> None:
    """Killed in the middle: requests pass at half the rate each, none fails for it; back again, all is shared."""
    who = tenant(requests_per_second=200, burst=20)
    async with gates(redis, 2) as all_gates:
        assert shared() == 1
        assert await hammer(all_gates[0], who, 0.5) > 30
        redis.kill()
        await hammer(all_gates[0], who, 0.3)
        await until(lambda: shared() == 0)
        counts = await asyncio.gather(*(hammer(gate, who, 1.0) for gate in all_gates))
        for count in counts:
            assert 50 <= count <= 125
        redis.start()
        await until(lambda: all(gate._sharing.shared for gate in all_gates), within_s=10)  # type: ignore[attr-defined]
        assert shared() == 1
        assert await hammer(all_gates[0], who, 1.0) > 120
        assert redis.client.exists(keys_of(PREFIX, "acme").tokens)


async def test_a_service_starts_without_redis(redis: RedisServer) -> None:
    """Alone at first, shared as soon as Redis is there."""
    redis.kill()
    who = tenant(requests_per_second=0.001, burst=10)
    async with gates(redis, 1, processes=2) as (gate,):
        assert sum(passes(gate, who) for _ in range(20)) == 5
        redis.start()
        await until(lambda: shared() == 1)
        assert sum(passes(gate, who) for _ in range(20)) == 0


async def test_a_redis_that_may_not_be_written_is_none(redis: RedisServer) -> None:
    """A replica that answers but refuses scripts that write counts as away, and does not make the service flap."""
    redis.client.replicaof("127.0.0.1", 1)
    try:
        async with gates(redis, 1, processes=2) as (gate,):
            assert shared() == 0
            assert sum(passes(gate, tenant(requests_per_second=0.001, burst=10)) for _ in range(20)) == 5
    finally:
        redis.client.replicaof("NO", "ONE")


async def test_unlimited_and_closed_tenants_ask_nobody(redis: RedisServer) -> None:
    """Redis holds nothing about them."""
    async with gates(redis, 2) as (gate, _):
        for _ in range(100):
            assert passes(gate, tenant("free"))
            assert not passes(gate, tenant("closed", requests_per_second=0))
        await asyncio.sleep(0.1)
    assert [key for key in redis.client.keys("*") if "{" in str(key)] == []


async def test_many_tenants_fit_into_few_round_trips(redis: RedisServer) -> None:
    """A thousand tenants at once are all served, and what they leave in Redis ends by itself."""
    async with gates(redis, 1, processes=2) as (gate,):
        tenants = [tenant(f"t{n}", requests_per_second=100, burst=10) for n in range(1000)]
        assert all(passes(gate, who) for who in tenants)
        await until(lambda: len(redis.client.keys(f"{PREFIX}:{{t*")) == 1000)
        key = keys_of(PREFIX, "t7").tokens
        assert 0 < int(redis.client.pttl(key)) <= 1200


async def test_a_clock_of_redis_that_goes_back_refills_nothing(redis: RedisServer) -> None:
    """Time noted in the future counts as now; the bucket neither fills nor stays shut until then."""
    key = keys_of(PREFIX, "acme").tokens
    redis.client.hset(key, mapping={"tokens": 0, "at": time.time() + 3600})
    for wait, low, high in ((0.0, 0.0, 0.0), (0.2, 1.5, 4.0)):
        await asyncio.sleep(wait)
        granted, _ = redis.client.eval(LEASE_TOKENS, 1, key, 10, 100, 0, 100)
        assert low <= float(granted) <= high


async def test_real_processes_together_keep_to_the_limit(redis: RedisServer) -> None:
    """Three programs of their own, each trying as fast as it can."""
    program = Path(__file__).with_name("hammer_program.py")
    arguments = [sys.executable, str(program), redis.url, "3", "300", "30", "2.0"]
    started = [
        await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE, cwd=Path.cwd())
        for _ in range(3)
    ]
    results = [json.loads((await process.communicate())[0].splitlines()[-1]) for process in started]
    span = max(result["ended"] for result in results) - min(result["began"] for result in results)
    total = sum(result["passed"] for result in results)
    assert 0.8 * (300 * 2.0) <= total <= 1.1 * (30 + 300 * span) + 30
