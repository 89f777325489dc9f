# SPDX-License-Identifier: Apache-2.0
"""Turns through a real Redis: so many at once, rising tokens, freed by death, never in the way without Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from artifacts.coordination import turns as module
from artifacts.coordination.link import Link
from artifacts.coordination.turns import RedisTurns
from core.clock import SystemClock
from deploy.local.components.redis import RedisServer


@asynccontextmanager
async def hosts(server: RedisServer, count: int) -> AsyncIterator[list[RedisTurns]]:
    """The turns of ``count`` processes."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            link = Link(
                server.url, timeout_s=10, clock=SystemClock()
            )  # so that a busy machine is not taken for no Redis
            stack.push_async_callback(link.close)
            made.append(RedisTurns(link, prefix="test", clock=SystemClock()))
        yield made


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that end soon, but not while a busy machine stands still for a second."""
    monkeypatch.setattr(module, "LIFETIME_S", 1.2)
    monkeypatch.setattr(module, "_RENEW_S", 0.1)
    monkeypatch.setattr(module, "_ASK_S", 0.05)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits asks often; turns last as long as they do."""
    monkeypatch.setattr(module, "_ASK_S", 0.05)


async def test_ten_hosts_load_two_at_a_time(redis: RedisServer, eager: None) -> None:
    """All get their turn, two at once, each with a token of its own; another model waits for nobody."""
    at_work: set[int] = set()
    most, tokens = 0, []
    both, go_on = asyncio.Event(), asyncio.Event()

    async def load(n: int, turns: RedisTurns) -> None:
        nonlocal most
        async with turns.take("load:digits", among=2, wait_s=30) as turn:
            at_work.add(n)
            most = max(most, len(at_work))
            tokens.append(turn.token or 0)
            if len(tokens) == 2:
                both.set()
            await go_on.wait()
            await asyncio.sleep(0.05)
            at_work.remove(n)

    async with hosts(redis, 10) as all_turns:
        loading = asyncio.gather(*(load(n, turns) for n, turns in enumerate(all_turns)))
        async with asyncio.timeout(20):
            await both.wait()
        async with all_turns[0].take("load:iris", among=2, wait_s=0) as other:
            assert other.token is not None
            assert len(tokens) == 2
        go_on.set()
        await loading
    assert most == 2
    assert len(set(tokens)) == len(tokens) == 10
    assert max(tokens[:2]) < min(tokens[2:])


async def test_a_turn_is_kept_as_long_as_the_work_takes(redis: RedisServer, short: None) -> None:
    """Longer than its lifetime, by renewal; others are told so at once."""
    async with hosts(redis, 2) as (first, second), first.try_take("sweep") as mine:
        assert mine is not None
        await asyncio.sleep(1.8)
        async with second.try_take("sweep") as theirs:
            assert theirs is None
        assert not mine.lost


async def test_a_holder_that_died_frees_its_turn(redis: RedisServer, short: None) -> None:
    """By expiry, with nobody's help."""
    async with hosts(redis, 2) as (dead, alive):
        assert await dead._ask("sweep", "dead", 1) is not None  # and nothing renews it
        began = time.monotonic()
        async with alive.take("sweep", among=1, wait_s=10) as turn:
            assert turn.token is not None
        assert 0.9 < time.monotonic() - began < 5


async def test_a_holder_that_was_stopped_neither_keeps_nor_ends_its_successors_turn(
    redis: RedisServer, short: None
) -> None:
    """Its token is old: renewal and return are refused, and it learns so."""
    async with hosts(redis, 3) as (stopped, successor, third):
        old = await stopped._ask("sweep", "stopped", 1)
        assert old is not None
        await asyncio.sleep(1.3)
        async with successor.try_take("sweep") as new:
            assert new is not None
            assert (new.token or 0) > (old.token or 0)
            assert not await stopped._extend("sweep", "stopped", old, 10.0)
            assert not await stopped._extend("sweep", "stopped", old, 0.0)
            async with third.try_take("sweep") as none:
                assert none is None


async def test_a_turn_that_redis_forgot_is_lost_and_says_so(redis: RedisServer, short: None) -> None:
    """FLUSHALL in mid-work: the work goes on, the turn is known to be lost, and tokens still rise."""
    async with hosts(redis, 2) as (first, second), first.try_take("sweep") as mine:
        assert mine is not None
        redis.flush()
        async with asyncio.timeout(10):
            while not mine.lost:
                await asyncio.sleep(0.02)
        async with second.try_take("sweep") as theirs:
            assert theirs is not None
            assert (theirs.token or 0) > (mine.token or 0)


async def test_without_redis_everybody_has_a_turn(redis: RedisServer) -> None:
    """At once, and work under way when Redis dies ends as usual."""
    async with hosts(redis, 3) as (first, second, third):
        async with first.try_take("sweep") as mine:
            redis.kill()
            began = time.monotonic()
            async with second.try_take("sweep") as theirs, third.take("sweep", among=1, wait_s=60) as another:
                assert theirs is not None
                assert (theirs.token, another.token) == (None, None)
            assert time.monotonic() - began < 5  # of the sixty it would wait for
        assert mine is not None


async def test_nobody_is_waited_for_longer_than_was_said(redis: RedisServer, short: None) -> None:
    """Then the work is done without a turn."""
    async with hosts(redis, 2) as (first, second), first.try_take("sweep") as mine:
        assert mine is not None
        began = time.monotonic()
        async with second.take("sweep", among=1, wait_s=0.2) as turn:
            assert turn.token is None
        assert time.monotonic() - began < 5  # the other turn never ends
