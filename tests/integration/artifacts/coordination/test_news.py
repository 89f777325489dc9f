# SPDX-License-Identifier: Apache-2.0
"""News through a real Redis: heard at once by everybody, and what was missed is heard of afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from artifacts.coordination.link import Link
from artifacts.coordination.news import News
from core.clock import SystemClock
from deploy.local.components.redis import RedisServer

PREFIX = "test"


@asynccontextmanager
async def processes(server: RedisServer, count: int) -> AsyncIterator[list[News]]:
    """The news of ``count`` processes."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(count):
            link = Link(server.url, timeout_s=0.5, clock=SystemClock())
            stack.push_async_callback(link.close)
            made.append(News(link, prefix=PREFIX))
            stack.push_async_callback(made[-1].close)
        yield made


async def until(true: Callable[[], bool], *, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)


async def heard_by(news: News) -> list[str]:
    """What it hears; it listens when this returns."""
    heard: list[str] = []
    listening = asyncio.Event()

    def hear(tenant: str) -> None:
        listening.set() if tenant == "listening?" else heard.append(tenant)

    news.listen(hear)
    async with asyncio.timeout(5):
        while not listening.is_set():
            await news.tell("listening?")
            await asyncio.sleep(0.01)
    return heard


async def test_everybody_hears_of_a_change_once(redis: RedisServer) -> None:
    """The teller too; each telling is heard."""
    async with processes(redis, 3) as (teller, first, second):
        lists = [await heard_by(news) for news in (teller, first, second)]
        for heard in lists:
            heard.clear()
        for tenant in ("acme", "globex", "acme"):
            await teller.tell(tenant)
        await until(lambda: all(len(heard) >= 3 for heard in lists), within_s=1)
        assert lists == [["acme", "globex", "acme"]] * 3


async def test_what_was_missed_is_heard_of_when_the_connection_is_back(redis: RedisServer) -> None:
    """Cut off while two tenants change: it hears of these two, and not of the third."""
    async with processes(redis, 2) as (teller, listener):
        heard = await heard_by(listener)
        for tenant in ("acme", "globex", "still"):
            await teller.tell(tenant)
        await until(lambda: len(heard) >= 3)
        heard.clear()
        redis.client.client_pause(400, all=True)
        for client in redis.client.client_list("pubsub"):
            redis.client.client_kill_filter(_id=client["id"])
        await teller.tell("acme")
        await teller.tell("globex")
        await until(lambda: {"acme", "globex"} <= set(heard))
        assert "still" not in heard


async def test_a_redis_that_forgot_is_a_change_of_everything(redis: RedisServer) -> None:
    """Killed and started empty: whoever knew of a tenant hears of it, and of what is told from then on."""
    async with processes(redis, 2) as (teller, listener):
        heard = await heard_by(listener)
        await teller.tell("acme")
        await until(lambda: "acme" in heard)
        heard.clear()
        redis.kill()
        await teller.tell("acme")
        redis.start()
        await until(lambda: "acme" in heard)
        heard.clear()
        async with asyncio.timeout(5):
            while "globex" not in heard:
                await teller.tell("globex")
                await asyncio.sleep(0.05)


async def test_a_generation_never_repeats(redis: RedisServer) -> None:
    """Not within a microsecond, not after a FLUSHALL, not when Redis's clock is behind what it has seen."""
    async with processes(redis, 1) as (teller,):
        seen = []
        for n in range(50):
            if n == 25:
                redis.flush()
            await teller.tell("acme")
            seen.append(int(str(redis.client.hget(f"{PREFIX}:generations", "acme"))))
        ahead = seen[-1] + 3_600_000_000
        redis.client.hset(f"{PREFIX}:generations", "acme", ahead)
        await teller.tell("acme")
        seen.append(int(str(redis.client.hget(f"{PREFIX}:generations", "acme"))))
    assert seen == sorted(set(seen))
    assert seen[-1] == ahead + 1


async def test_what_could_not_be_told_is_told_when_redis_is_back(redis: RedisServer) -> None:
    """Telling without Redis is no error and takes no time; each tenant is told of once, to whoever listens by then."""
    redis.kill()
    async with processes(redis, 2) as (teller, listener):
        for _ in range(100):
            await teller.tell("acme")
            await teller.tell("globex")
        redis.start()
        heard: list[str] = []
        listener.listen(heard.append)
        await until(lambda: len(heard) == 2, within_s=10)
        await asyncio.sleep(0.5)
        assert sorted(heard) == ["acme", "globex"]
        assert not teller._untold
