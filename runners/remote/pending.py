# SPDX-License-Identifier: Apache-2.0
"""The requests an API worker has sent and that are not answered, bounded in number and bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from core.errors import ErrorCode, Overloaded
from core.tensors import TensorSpec
from runners.batching.work import Done
from runners.remote.channel import Channel
from runners.remote.framing import CANCEL
from runners.remote.limits import WireLimits


class Waiting(msgspec.Struct, eq=False, kw_only=True):
    """One request; the ticket of who waits for it."""

    pending: Pending
    channel: Channel  # it was sent on
    number: int
    done: Done
    size: int  # bytes of its inputs
    arrived: float  # on the loop's clock
    outputs: Sequence[TensorSpec]  # those it asks for
    timer: asyncio.TimerHandle | None = None  # None: no deadline of its own

    def cancel(self) -> None:
        """Nobody waits any more: the runner drops it. May be called twice, and after the end."""
        if self.pending.forget(self):
            self.channel.send(CANCEL, self.number)


class Pending:
    """The requests by their number, oldest first.

    Args:
        limits: Bounds.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._requests: dict[int, Waiting] = {}
        self._bytes = 0
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(list(self._requests.values()))

    def check(self, size: int) -> None:
        """Raises ``QUEUE_001`` if there is no room for ``size`` more bytes."""
        waiting = len(self._requests)
        if waiting >= self._limits.in_flight or (waiting and self._bytes + size > self._limits.in_flight_bytes):
            raise Overloaded(
                ErrorCode.QUEUE_FULL,
                f"{waiting} requests with {self._bytes} bytes of inputs wait for the runner.",
                retry_after=1.0,
            )

    def add(self, waiting: Waiting) -> None:
        """Keeps a request that was sent."""
        self._requests[waiting.number] = waiting
        self._bytes += waiting.size

    def get(self, number: int) -> Waiting | None:
        """The request of that number; None if it has ended."""
        return self._requests.get(number)

    def forget(self, waiting: Waiting) -> bool:
        """Takes a request out; False if it has ended already."""
        if self._requests.pop(waiting.number, None) is None:
            return False
        self._bytes -= waiting.size
        if waiting.timer is not None:
            waiting.timer.cancel()
        if not self._requests:
            self._empty.set()
        return True

    async def empty(self) -> None:
        """Returns when no request is left."""
        while self._requests:
            self._empty.clear()
            await self._empty.wait()
