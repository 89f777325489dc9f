# SPDX-License-Identifier: Apache-2.0
"""Redis is flushed and killed under load: no caller sees an error that is not about a limit, and limits hold again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Final

import pytest

from artifacts.coordination.link import Link
from artifacts.coordination.turns import RedisTurns
from core.clock import SystemClock
from core.errors import Overloaded
from deploy.local.components.redis import RedisServer
from furoshiki import AsyncClient, Retry
from services.dataplane.gate import Gate
from services.dataplane.quota.shared import SharedThroughRedis
from services.edge.context import Principal, TenantLimits
from tests.integration.faults.forked import ForkedRegistry
from tests.integration.registry_api.rest import tiny_onnx

PROCESSES: Final = 3
RATE: Final = 200.0
BURST: Final = 40
CLOCK: Final = SystemClock()
LIMITED: Final = Principal(
    tenant="acme", key_id="k", limits=TenantLimits(requests_per_second=RATE, burst=BURST, requests_per_hour=100_000)
)
BLOWS: Final = 12

pytestmark = pytest.mark.fault("Redis flushed and killed under load")


@asynccontextmanager
async def gates(server: RedisServer) -> AsyncIterator[list[Gate]]:
    """The gates of several processes."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(PROCESSES):
            link = Link(server.url, timeout_s=0.5, clock=CLOCK)
            stack.push_async_callback(link.close)
            sharing = SharedThroughRedis(link, processes=PROCESSES, prefix="test", clock=CLOCK)
            await sharing.start()
            made.append(Gate(sharing=sharing, clock=CLOCK))
            stack.push_async_callback(made[-1].close)
        yield made


class Load:
    """Requests through every gate. Whatever but a refusal comes out of one ends the test."""

    def __init__(self) -> None:
        self.passed = self.refused = 0
        self.stopping = False

    async def run(self, gate: Gate) -> None:
        while not self.stopping:
            try:
                gate.enter(LIMITED)
            except Overloaded:
                self.refused += 1
            else:
                gate.leave(LIMITED)
                self.passed += 1
            await asyncio.sleep(0.002)


async def blow(server: RedisServer, chance: random.Random) -> None:
    """Flushes Redis, or kills it and starts it again empty."""
    if chance.random() < 0.5:
        await asyncio.to_thread(server.flush)
        return
    server.kill()
    await asyncio.sleep(chance.uniform(0, 0.5))
    await asyncio.to_thread(server.start)


async def test_limits_hold_and_nobody_sees_an_error(
    redis: RedisServer, chance: random.Random, record_property: Callable[[str, object], None]
) -> None:
    """Twelve blows: in all, the rate is kept to a burst and each process's share per blow; then it is exact again."""
    load = Load()
    async with gates(redis) as made:
        running = asyncio.gather(*(load.run(gate) for gate in made))
        began = CLOCK.monotonic()
        for _ in range(BLOWS):
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            await blow(redis, chance)
        seconds = CLOCK.monotonic() - began
        assert load.passed <= RATE * seconds + (BLOWS + 1) * 3 * BURST
        assert load.passed >= 0.3 * RATE * seconds
        async with asyncio.timeout(15):
            while not all(gate._sharing.shared for gate in made):  # type: ignore[attr-defined]
                await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        before, began = load.passed, CLOCK.monotonic()
        await asyncio.sleep(2.0)
        rate = (load.passed - before) / (CLOCK.monotonic() - began)
        load.stopping = True
        await running
    assert 0.6 * RATE <= rate <= 1.2 * RATE
    record_property("blows", BLOWS)
    record_property("requests passed", load.passed)
    record_property("requests refused", load.refused)
    record_property("errors", 0)


async def test_the_registry_goes_on_without_redis(
    redis: RedisServer, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Models are pushed and promoted while Redis comes and goes; none is refused, none waits for it."""
    (tmp_path / "model.onnx").write_bytes(tiny_onnx())
    with closing(ForkedRegistry(tmp_path / "home", {"FUROSHIKI_REDIS__URL": redis.url})) as registry:
        await asyncio.to_thread(registry.start)
        once = Retry(attempts=1)
        async with AsyncClient(registry.url, api_key=registry.admin_key, retry=once, timeout=30) as client:
            pushes = 6
            for n in range(pushes):
                redis.kill() if n % 2 else redis.start()
                pushed = await client.models.push("digits", tmp_path / "model.onnx")
                await client.versions.stage("digits", pushed.version, "STAGING", reason="test")
                await client.versions.stage("digits", pushed.version, "PRODUCTION", reason="test")
                assert (await client.versions.resolve("digits")).version == n + 1
    record_property("pushes answered", pushes)


async def test_turns_at_a_download_do_not_stop_it(redis: RedisServer, chance: random.Random) -> None:
    """Ten hosts want the same model while Redis is killed and flushed: all of them get on with it."""
    async with AsyncExitStack() as stack:
        links = [Link(redis.url, timeout_s=0.5, clock=CLOCK) for _ in range(10)]
        for link in links:
            stack.push_async_callback(link.close)
        done = 0

        async def load(link: Link) -> None:
            nonlocal done
            async with RedisTurns(link, prefix="test", clock=CLOCK).take("load:digits", among=2, wait_s=10):
                await asyncio.sleep(0.1)
            done += 1

        loading = asyncio.gather(*(load(link) for link in links))
        for _ in range(3):
            await asyncio.sleep(chance.uniform(0.05, 0.2))
            await blow(redis, chance)
        async with asyncio.timeout(20):
            await loading
        assert done == 10
