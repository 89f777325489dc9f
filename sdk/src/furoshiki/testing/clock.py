# SPDX-License-Identifier: Apache-2.0
"""A clock whose sleeps take no time and are remembered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Moves only when something sleeps on it or when it is told to.

    ``sleeps`` lists the seconds of every sleep.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Moves time forward by ``seconds``."""
        self._elapsed += seconds
