# SPDX-License-Identifier: Apache-2.0
"""When a request is sent again.

Rules. Only a failure that says it is retryable is retried. A request that is not repeatable is retried only when the
server cannot have acted on it: nothing was connected, or it was turned away at the door (429). Waits grow
exponentially with full jitter; a ``Retry-After`` is the least that is waited. Three limits end it: attempts, the
deadline, and a budget shared by all calls of one client, so that a struggling service never receives much more than
its normal load. Jitter after https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from furoshiki.errors import ConnectionFailed, FuroshikiError
from furoshiki.replies import error_of
from furoshiki.steps import Reply, Request, Steps, exchange, pause


class Clock(Protocol):
    """The time and the waiting a client does; replaced in tests."""

    def now(self) -> datetime:
        """Wall time, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Blocks the calling thread."""
        ...

    async def asleep(self, seconds: float) -> None:
        """Suspends the calling task."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how long a request is tried. ``Retry(attempts=1)`` never repeats anything."""

    attempts: int = 5  # in all, the first included
    base: float = 0.2  # seconds: the longest first wait
    cap: float = 10.0  # seconds: the longest wait without a Retry-After
    deadline: float = 60.0  # seconds from the first attempt after which no further one starts

    def wait(self, attempt: int, retry_after: float | None, rng: random.Random) -> float:
        """Seconds to wait after the ``attempt``-th try (the first is 1)."""
        jitter = rng.uniform(0.0, min(self.cap, self.base * 2.0 ** (attempt - 1)))
        return jitter if retry_after is None else retry_after + jitter


class RetryBudget:
    """A bucket of retries shared by the calls of one client; safe to use from many threads.

    Args:
        size: Retries it holds when full.
        refill: Retries earned by each request that succeeds.
    """

    def __init__(self, *, size: float = 10.0, refill: float = 0.1) -> None:
        self._size = size
        self._refill = refill
        self._left = size
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Takes one retry; False if none is left."""
        with self._lock:
            if self._left < 1.0:
                return False
            self._left -= 1.0
            return True

    def earn(self) -> None:
        """Notes one success."""
        with self._lock:
            self._left = min(self._size, self._left + self._refill)


def attempts(request: Request, policy: Retry, *, clock: Clock, budget: RetryBudget, rng: random.Random) -> Steps[Reply]:
    """Sends ``request`` until it succeeds or the rules above end it.

    Raises:
        FuroshikiError: The failure of the last attempt.
    """
    end = clock.monotonic() + policy.deadline
    attempt = 0
    while True:
        attempt += 1
        try:
            reply = yield from exchange(request)
            failure = error_of(reply, now=clock.now())
        except ConnectionFailed as cut:
            failure = cut
        if failure is None:
            budget.earn()
            return reply
        wait = policy.wait(attempt, failure.retry_after, rng)
        out_of_time = attempt >= policy.attempts or clock.monotonic() + wait > end
        if not may_repeat(request, failure) or out_of_time or not budget.take():
            raise failure
        yield from pause(wait)


def may_repeat(request: Request, failure: FuroshikiError) -> bool:
    """Whether sending ``request`` again after ``failure`` is useful and safe."""
    if not failure.retryable:
        return False
    unseen = failure.status == 429 or (isinstance(failure, ConnectionFailed) and not failure.sent)
    return request.repeatable or unseen
