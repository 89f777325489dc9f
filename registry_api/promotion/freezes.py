# SPDX-License-Identifier: Apache-2.0
"""Times in which nothing is promoted: single intervals, or the same hours of every week. All of it in UTC. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

WEEK: Final = timedelta(weeks=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From ``start`` (included) to ``end`` (excluded)."""

    start: datetime
    end: datetime
    reason: str = ""

    def until(self, now: datetime) -> datetime | None:
        """When the freeze ends that holds at ``now``; None if it does not hold."""
        return self.end if self.start <= now < self.end else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """The same time of every week, from ``start`` (included) to ``end`` (excluded); it may run over the end of the week."""

    start: timedelta  # after Monday 00:00 UTC
    end: timedelta  # likewise; not later than start: of the week after
    reason: str = ""

    def until(self, now: datetime) -> datetime | None:
        """When the freeze ends that holds at ``now``; None if it does not hold."""
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        monday = midnight - timedelta(days=midnight.weekday())
        length = (self.end - self.start) % WEEK or WEEK
        for begin in (monday + self.start, monday - WEEK + self.start):
            if begin <= now < begin + length:
                return begin + length
        return None


Freeze: TypeAlias = Interval | Weekly


def frozen_until(freezes: Sequence[Freeze], now: datetime) -> tuple[datetime, str] | None:
    """The end and reason of the freeze that holds longest at ``now``; None if none holds."""
    held = [(until, freeze.reason) for freeze in freezes if (until := freeze.until(now)) is not None]
    return max(held, default=None)
