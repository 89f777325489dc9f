# SPDX-License-Identifier: Apache-2.0
"""How often and how long a registry is tried that does not answer, or not well.

Only failures that may pass are tried again: no connection, a cut, 408, 425, 429 and 5xx. Waits grow exponentially with full
jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/); a ``Retry-After`` is the least that is
waited, up to a limit. A transfer that moved on since the last failure starts counting anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from core.errors import ErrorCode, Unavailable

T = TypeVar("T")

LONGEST_RETRY_AFTER_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Limits of one operation."""

    attempts: int = 6  # without progress in between, the first included
    base_s: float = 0.25  # the longest first wait
    cap_s: float = 10.0  # the longest wait without a Retry-After
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep


class Tries:
    """Counts the failures of one operation."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failures = 0

    def progress(self) -> None:
        """Something was gained that a further attempt builds upon."""
        self._failures = 0

    async def after(self, error: Unavailable) -> None:
        """Waits before the next attempt.

        Raises:
            Unavailable: ``error``, if there shall be none.
        """
        if error.code is not ErrorCode.OCI_UNREACHABLE:
            raise error
        self._failures += 1
        if self._failures >= self._patience.attempts:
            raise error
        longest = min(self._patience.cap_s, self._patience.base_s * 2.0 ** (self._failures - 1))
        least = min(error.retry_after or 0.0, LONGEST_RETRY_AFTER_S)
        await self._patience.pause(least + random.uniform(0.0, longest))  # noqa: S311 - spreads load, guards nothing


async def persist(patience: Patience, attempt: Callable[[], Awaitable[T]]) -> T:
    """Runs ``attempt`` until it succeeds or patience ends.

    Raises:
        Unavailable: ``OCI_001``, of the last attempt. Everything else passes at once.
    """
    tries = Tries(patience)
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            await tries.after(error)
