# SPDX-License-Identifier: Apache-2.0
"""Tells every process that something of a tenant changed, so that what they remember about it is looked up anew.

Rules.
- News are told after the change was committed, never before: who hears them and looks finds the change.
- Each tenant has a generation in Redis, which every telling raises: to Redis's time in microseconds, or by one. A message
  brings the new one. A listener that was cut off compares generations when it is back, and hears of every tenant whose
  generation differs from what it last knew: of those it missed, and of all of them after a ``FLUSHALL``.
- What could not be told is told when Redis is back, unless the process has ended by then.
- News may come late, twice or not at all. A listener's own limit on how long it remembers stays in force.
"""

from __future__ import annotations

import asyncio
from typing import Final

from artifacts.coordination.interface import Heard
from artifacts.coordination.link import FIRST_PAUSE_S, LONGEST_PAUSE_S, Away, Link
from core.telemetry.logs import get_logger

# One step, so that generations reach the channel in their order.
_TELL: Final = """
local time = redis.call('TIME')
local generation = tonumber(time[1]) * 1000000 + tonumber(time[2])
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
generation = string.format('%.0f', math.max(generation, known + 1))
redis.call('HSET', KEYS[1], ARGV[1], generation)
redis.call('PUBLISH', KEYS[1], generation .. ' ' .. ARGV[1])
return generation
"""
_ALL: Final = "return redis.call('HGETALL', KEYS[1])"

log = get_logger(__name__)


class News:
    """The news of one installation; implements :class:`~artifacts.coordination.interface.Announcer`.

    Args:
        link: To Redis.
        prefix: Of the key and the channel, which are one name.
    """

    def __init__(self, link: Link, *, prefix: str) -> None:
        self._link = link
        self._name = f"{prefix}:generations"
        self._known: dict[str, str] = {}  # generation by tenant
        self._heard: list[Heard] = []
        self._task: asyncio.Task[None] | None = None
        self._untold: set[str] = set()
        self._telling: asyncio.Task[None] | None = None  # what could not be told

    async def tell(self, tenant: str) -> None:
        """Says that something of ``tenant`` changed. Where Redis is away it is said when it is back; never an error."""
        try:
            await self._tell({tenant})
        except Away:
            self._untold.add(tenant)
            if self._telling is None or self._telling.done():
                self._telling = asyncio.create_task(self._tell_later())

    def listen(self, heard: Heard) -> None:
        """Calls ``heard`` with the name of each tenant of which something changed, from now until :meth:`close`."""
        self._heard.append(heard)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stops listening, and telling what could not be told; may be called twice."""
        tasks = [task for task in (self._task, self._telling) if task is not None]
        self._task = self._telling = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _tell(self, tenants: set[str]) -> None:
        await self._link.evaluate([(_TELL, self._name, (tenant,)) for tenant in sorted(tenants)])

    async def _tell_later(self) -> None:
        while self._untold:
            await asyncio.sleep(FIRST_PAUSE_S)  # the link decides how often Redis is really asked
            tenants, self._untold = self._untold, set()
            try:
                await self._tell(tenants)
            except Away:
                self._untold |= tenants

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async for message in self._link.listen(self._name):
                    pause_s = FIRST_PAUSE_S
                    if message:
                        generation, _, tenant = message.partition(" ")
                        self._note(tenant, generation)
                    else:
                        await self._compare()
            except Away as error:
                log.warning("news_cut_off", cause=str(error), again_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _compare(self) -> None:
        """Of what may have been missed while nobody listened."""
        (flat,) = await self._link.evaluate([(_ALL, self._name, ())])
        current = dict(zip(flat[::2], flat[1::2], strict=True))
        for tenant in sorted(current.keys() | self._known.keys()):
            self._note(tenant, current.get(tenant, ""))
        log.info("news_heard", tenants=len(current))

    def _note(self, tenant: str, generation: str) -> None:
        if self._known.get(tenant) != generation:
            self._known[tenant] = generation
            for heard in self._heard:
                heard(tenant)
