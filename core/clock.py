# SPDX-License-Identifier: Apache-2.0
"""Time as an argument: ``now()`` for records, ``monotonic()`` for waits and deadlines."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What code that needs the time asks for it."""

    def now(self) -> datetime:
        """Wall time, timezone-aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences have a meaning."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class ForwardClock:
    """A clock whose ``now`` never goes back: after the machine's clock was set back, it goes on from where it was.

    For what must not come into force again, such as the validity of a key. Set forward by mistake, the machine's clock is
    believed until the process ends.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest = clock.now(), clock.monotonic()

    def now(self) -> datetime:
        wall, ticks = self._clock.now(), self._clock.monotonic()
        latest, then = self._latest
        moment = max(wall, latest + timedelta(seconds=max(0.0, ticks - then)))
        self._latest = moment, ticks
        return moment

    def monotonic(self) -> float:
        return self._clock.monotonic()


class ManualClock:
    """A clock that moves only when told to; for tests."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Moves both times forward by ``seconds``."""
        self._elapsed += seconds

    def set_back(self, seconds: float) -> None:
        """Moves the wall time back by ``seconds``, as somebody who sets a machine's clock does."""
        self._start -= timedelta(seconds=seconds)


def rfc3339(moment: datetime) -> str:
    """Formats an aware datetime as RFC 3339 in UTC with milliseconds: ``2026-01-31T09:30:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
