# SPDX-License-Identifier: Apache-2.0
"""The way to a real Redis: bounded, closed for a while after a failure, open again without a restart."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from artifacts.coordination.link import FIRST_PAUSE_S, LONGEST_PAUSE_S, Away, Link
from core.clock import ManualClock, SystemClock
from deploy.local.components.redis import RedisServer
from deploy.local.stack import free_port

ECHO = "return ARGV[1]"


def reachable() -> float | None:
    return REGISTRY.get_sample_value("furoshiki_redis_reachable")


async def test_scripts_are_answered_in_order(redis: RedisServer) -> None:
    """Many in one round trip, and again after Redis forgot its scripts."""
    link = Link(redis.url, timeout_s=1, clock=SystemClock())
    calls = [(ECHO, "k", (str(n),)) for n in range(100)]
    assert await link.evaluate(calls) == [str(n) for n in range(100)]
    redis.client.script_flush()
    assert (await link.evaluate(calls))[-1] == "99"
    await link.close()


async def test_a_dead_redis_costs_nothing(redis: RedisServer) -> None:
    """After the first failure calls fail at once, without the network; one tries when the pause is over, and it doubles."""
    clock = ManualClock()
    link = Link(redis.url, timeout_s=1, clock=clock)
    await link.evaluate([(ECHO, "k", ("1",))])
    assert reachable() == 1
    redis.kill()
    with pytest.raises(Away, match="Connection"):
        await link.evaluate([(ECHO, "k", ("1",))])
    assert reachable() == 0
    for _ in range(1000):
        with pytest.raises(Away, match="a moment ago"):
            await link.evaluate([(ECHO, "k", ("1",))])
    pauses = []
    for _ in range(7):
        pauses.append(link._pause_s)
        clock.advance(link._pause_s)
        with pytest.raises(Away, match="Connection"):
            await link.evaluate([(ECHO, "k", ("1",))])
    assert pauses == [FIRST_PAUSE_S, 0.5, 1.0, 2.0, 4.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    redis.start()
    clock.advance(LONGEST_PAUSE_S)
    assert await link.evaluate([(ECHO, "k", ("1",))]) == ["1"]
    assert reachable() == 1
    await link.close()


async def test_a_redis_that_says_nothing_is_away() -> None:
    """One that takes the connection and never answers costs the timeout, once."""

    connections = 0

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await asyncio.sleep(5)
        writer.close()

    port = free_port()
    async with await asyncio.start_server(silent, "127.0.0.1", port) as server:
        link = Link(f"redis://127.0.0.1:{port}/0", timeout_s=0.2, clock=ManualClock())
        began = time.perf_counter()
        for _ in range(20):
            with pytest.raises(Away):
                await link.evaluate([(ECHO, "k", ("1",))])
        assert time.perf_counter() - began < 3  # twenty timeouts would be four seconds
        assert connections == 1
        await link.close()
        server.close()


async def test_a_replica_is_no_redis_for_us(redis: RedisServer) -> None:
    """It answers, but may not be written."""
    redis.client.replicaof("127.0.0.1", 1)
    link = Link(redis.url, timeout_s=1, clock=SystemClock())
    try:
        with pytest.raises(Away, match=r"(?i)readonly|read only"):
            await link.evaluate([("return redis.call('SET', KEYS[1], ARGV[1])", "k", ("1",))])
    finally:
        redis.client.replicaof("NO", "ONE")
        await link.close()
