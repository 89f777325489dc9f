# SPDX-License-Identifier: Apache-2.0
"""What the connections of one server share, and the clock that ends what takes too long.

There is one timer for all: at each tick connections and streams that were silent for too many ticks are told. A bound is
kept to between its time and two ticks more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import ceil
from typing import Final, Protocol

from services.edge.bodies import BodyBudget
from services.edge.limits import EdgeLimits
from services.grpc_v2.http2.stream import Method
from services.grpc_v2.options import GrpcOptions

PING_TIMEOUT_S: Final = 20.0
_LONGEST_TICK_S: Final = 5.0
_SHORTEST_TICK_S: Final = 0.005
_WAITING_BYTES: Final = 64 * 2**20


class Ticking(Protocol):
    """A connection."""

    def tick(self) -> None:
        """Some time has passed."""
        ...

    def drain(self) -> None:
        """Takes no further call, and ends with the last one."""
        ...

    def stop(self) -> None:
        """Ends now."""
        ...


class Shared:
    """The state of one server. Made on the event loop it is used on.

    Args:
        methods: By path.
        options: Bounds of connections.
        limits: Bounds of messages.
    """

    def __init__(self, methods: Mapping[str, Method], options: GrpcOptions, limits: EdgeLimits) -> None:
        self.methods = methods
        self.options = options
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self.budget = BodyBudget(limits.bodies_bytes)
        self.most_waiting = max(_WAITING_BYTES, limits.output_bytes)  # bytes of answers of one connection
        self.calls = 0  # under way
        self.connections: set[Ticking] = set()
        self.now = 0  # ticks
        self._tick_s = self._tick_length()
        self.body_ticks = self.ticks(limits.body_idle_s)
        self.whole_body_ticks = self.ticks(limits.body_s)
        self.idle_ticks = self.ticks(options.stream_idle_s)
        self.silent_ticks = self.ticks(options.keepalive_s)
        self.ping_ticks = self.ticks(PING_TIMEOUT_S)
        self._empty = asyncio.Event()
        self._empty.set()
        self._timer: asyncio.TimerHandle | None = None

    def _tick_length(self) -> float:
        shortest = min(self.limits.body_idle_s, self.options.stream_idle_s, self.options.keepalive_s) / 2
        return min(_LONGEST_TICK_S, max(_SHORTEST_TICK_S, shortest))

    def ticks(self, seconds: float) -> int:
        """After how many ticks at least so much time has passed."""
        return ceil(seconds / self._tick_s) + 1

    def enter(self, connection: Ticking) -> None:
        """A connection was made."""
        self.connections.add(connection)
        self._empty.clear()
        if self._timer is None:
            self._timer = self.loop.call_later(self._tick_s, self._tick)

    def leave(self, connection: Ticking) -> None:
        """A connection has ended; may be said twice."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def left(self, seconds: float) -> bool:
        """Waits until there is no connection; False if some are left after so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def _tick(self) -> None:
        self._timer = None
        self.now += 1
        for connection in tuple(self.connections):
            connection.tick()
        if self.connections:
            self._timer = self.loop.call_later(self._tick_s, self._tick)
