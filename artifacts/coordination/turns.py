# SPDX-License-Identifier: Apache-2.0
"""Turns at heavy work, so that not every host does it at once: at most N processes have a turn of one name.

Rules.
- Never needed for correctness, only for load. Work that may not be done twice is guarded by its own transaction; where
  Redis is away everybody has a turn.
- A turn ends by itself ``LIFETIME_S`` after its last renewal, so a process that died frees it. A process that was stopped
  for longer finds out at its next renewal: each turn has a fencing token, higher than those of all turns before it, and a
  renewal or return that brings another token than the one in force is refused. So it can neither keep nor give back the
  turn of its successor. ``Turn.lost`` then is True; who has long work looks at it between its steps.
- Tokens come from Redis's time in microseconds, or the last one plus one: they rise even over a ``FLUSHALL``.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from artifacts.coordination.interface import Turn
from artifacts.coordination.link import Away, Link
from core.clock import Clock
from core.telemetry.logs import get_logger

LIFETIME_S: Final = 10.0
_RENEW_S: Final = LIFETIME_S / 4
_ASK_S: Final = 0.25  # on average, between two questions of a process that waits

log = get_logger(__name__)

# A hash: per holder "<token> <until>", and the highest token given. A holder that asks again gets a new token.
_TAKE: Final = """
local holder, among, lifetime = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local count, all = 0, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local token, ends = string.match(all[i + 1], '(%d+) (%S+)')
  if ends then
    if tonumber(ends) < now or tonumber(ends) > now + 10 * lifetime then
      redis.call('HDEL', KEYS[1], all[i])
    elseif all[i] ~= holder then
      count = count + 1
    end
  end
end
if count >= among then return '0' end
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
local token = string.format('%.0f', math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), last + 1))
redis.call('HSET', KEYS[1], 'last', token, holder, token .. ' ' .. string.format('%.6f', now + lifetime))
redis.call('PEXPIRE', KEYS[1], math.ceil(20000 * lifetime))
return token
"""
_RENEW: Final = """
local holder, token, lifetime = ARGV[1], ARGV[2], tonumber(ARGV[3])
local held = string.match(redis.call('HGET', KEYS[1], holder) or '', '(%d+) ')
if held ~= token then return 0 end
if lifetime == 0 then return redis.call('HDEL', KEYS[1], holder) end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], holder, token .. ' ' .. string.format('%.6f', time[1] + time[2] / 1e6 + lifetime))
redis.call('PEXPIRE', KEYS[1], math.ceil(20000 * lifetime))
return 1
"""


class RedisTurns:
    """Implements :class:`~artifacts.coordination.interface.Turns`.

    Args:
        link: To Redis.
        prefix: Of all keys.
        clock: For how long to wait.
    """

    def __init__(self, link: Link, *, prefix: str, clock: Clock) -> None:
        self._link = link
        self._prefix = prefix
        self._monotonic = clock.monotonic

    @asynccontextmanager
    async def take(self, name: str, *, among: int, wait_s: float) -> AsyncIterator[Turn]:
        holder = uuid.uuid4().hex
        until = self._monotonic() + wait_s
        while (turn := await self._ask(name, holder, among)) is None:
            if self._monotonic() >= until:
                log.info("turn_not_waited_for", name=name, waited_s=wait_s)
                turn = Turn(None)
                break
            await asyncio.sleep(random.uniform(0.5, 1.5) * _ASK_S)  # noqa: S311
        async with self._held(name, holder, turn):
            yield turn

    @asynccontextmanager
    async def try_take(self, name: str) -> AsyncIterator[Turn | None]:
        holder = uuid.uuid4().hex
        turn = await self._ask(name, holder, 1)
        if turn is None:
            yield None
            return
        async with self._held(name, holder, turn):
            yield turn

    async def _ask(self, name: str, holder: str, among: int) -> Turn | None:
        try:
            (token,) = await self._link.evaluate([(_TAKE, self._key(name), (holder, among, LIFETIME_S))])
        except Away:
            return Turn(None)
        return Turn(int(token)) if int(token) else None

    @asynccontextmanager
    async def _held(self, name: str, holder: str, turn: Turn) -> AsyncIterator[None]:
        if turn.token is None:
            yield
            return
        renewing = asyncio.create_task(self._renew(name, holder, turn))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            with suppress(Away):
                await self._extend(name, holder, turn, 0.0)

    async def _renew(self, name: str, holder: str, turn: Turn) -> None:
        while not turn.lost:
            await asyncio.sleep(_RENEW_S)
            with suppress(Away):
                turn.lost = not await self._extend(name, holder, turn, LIFETIME_S)
        log.warning("turn_lost", name=name, token=turn.token)

    async def _extend(self, name: str, holder: str, turn: Turn, lifetime_s: float) -> bool:
        (held,) = await self._link.evaluate([(_RENEW, self._key(name), (holder, str(turn.token), lifetime_s))])
        return bool(held)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:turns:{{{name}}}"
