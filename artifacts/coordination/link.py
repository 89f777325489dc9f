# SPDX-License-Identifier: Apache-2.0
"""One process's way to Redis: every call bounded in time, and no call at all for a while after one that failed.

Rules.
- A call answers within ``timeout_s`` or raises :class:`Away`. After a failure the next calls raise :class:`Away` at once,
  without touching the network, for a pause that doubles from 0.25 s up to 5 s; the first call after it tries again. So a
  Redis that is gone costs a caller nothing, and one that comes back is used without a restart.
- Scripts are sent whole with every call (``EVAL``), so a server that was restarted, flushed or replaced knows them:
  ``NOSCRIPT`` cannot happen. The longest has 2 kB, and no process makes more than some hundred calls per second.
- ``furoshiki_redis_reachable`` is 0 while the last call of any process failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.clock import Clock
from core.errors import ErrorCode, InitError
from core.telemetry import metrics
from core.telemetry.logs import get_logger

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0
_PING_S: Final = 5.0  # without a message, after which a listener asks whether Redis is still there

Call: TypeAlias = tuple[str, str, Sequence[str | float]]  # script, key, arguments

log = get_logger(__name__)


class Away(Exception):
    """Redis does not answer, refuses to be written, or did so a moment ago."""


class Link:
    """Asks one Redis. Use from one event loop.

    Args:
        url: ``redis://`` or ``rediss://``, with password and database if there are any.
        timeout_s: Redis counts as away if it does not answer within.
        clock: For the pauses.

    Raises:
        InitError: ``INIT_002`` if the URL is none. It is not repeated: it may hold a password.
    """

    def __init__(self, url: str, *, timeout_s: float, clock: Clock) -> None:
        try:
            self._redis = Redis.from_url(
                url,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                decode_responses=True,
            )
        except ValueError:
            raise InitError(
                ErrorCode.SETTING_INVALID,
                "FUROSHIKI_REDIS__URL: got a value that is not shown; expected redis://host:port/0 or rediss://….",
            ) from None
        self._timeout_s = timeout_s
        self._monotonic = clock.monotonic
        self._pause_s = FIRST_PAUSE_S
        self._closed_until = 0.0
        self.reachable = True

    async def evaluate(self, calls: Sequence[Call]) -> list[Any]:
        """Runs scripts in one round trip, each by itself atomic; their replies in order.

        Raises:
            Away: If Redis cannot be asked now. Some of the scripts may have been run.
        """
        if not self.reachable and self._monotonic() < self._closed_until:
            raise Away("Redis did not answer a moment ago")
        try:
            async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipeline:
                for script, key, arguments in calls:
                    pipeline.eval(script, 1, key, *arguments)
                replies: list[Any] = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            raise Away(repr(error)) from error
        self._answered()
        return replies

    async def listen(self, channel: str) -> AsyncIterator[str]:
        """The messages of a channel; first an empty one, when it is certain that none is missed from now on.

        Raises:
            Away: When the connection breaks.
        """
        async with self._redis.pubsub() as subscription:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await subscription.subscribe(channel)
                while True:
                    message = await subscription.get_message(timeout=_PING_S)
                    if message is None:
                        await subscription.ping()
                    elif message["type"] == "subscribe":
                        yield ""
                    elif message["type"] == "message":
                        yield str(message["data"])
            except (RedisError, OSError, TimeoutError) as error:
                raise Away(repr(error)) from error

    async def close(self) -> None:
        """Closes the connections; may be called twice."""
        await self._redis.aclose()

    def _failed(self, error: Exception) -> None:
        self._pause_s = FIRST_PAUSE_S if self.reachable else min(2 * self._pause_s, LONGEST_PAUSE_S)
        self._closed_until = self._monotonic() + self._pause_s
        if self.reachable:
            log.warning("redis_away", cause=repr(error))
        self.reachable = False
        metrics.REDIS_REACHABLE.set(0)

    def _answered(self) -> None:
        if not self.reachable:
            log.info("redis_back")
        self.reachable = True
        metrics.REDIS_REACHABLE.set(1)
