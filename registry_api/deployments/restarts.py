# SPDX-License-Identifier: Apache-2.0
"""When what is gone is started again: soon, then after pauses that double, and not at all if it does not help.

Law: within any window there are at most ``most`` restarts, and each comes at least twice as long after the one before as that
one had to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """What to do about a deployment that is not as wanted."""

    NOW = "now"
    WAIT = "wait"  # for the pause to pass
    GIVE_UP = "give_up"  # it has been tried often enough


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How patient a worker is."""

    most: int = 5  # restarts within the window
    window_seconds: float = 600.0
    pause_seconds: float = 1.0  # after the first restart; doubles with each further one

    @property
    def window(self) -> timedelta:
        """How long a restart counts."""
        return timedelta(seconds=self.window_seconds)

    def verdict(self, restarts: Sequence[datetime], now: datetime) -> Verdict:
        """What to do now.

        Args:
            restarts: When it was started again within the window, oldest first.
            now: The time.
        """
        if len(restarts) >= self.most:
            return Verdict.GIVE_UP
        if not restarts:
            return Verdict.NOW
        pause = self.pause_seconds * 2.0 ** min(len(restarts) - 1, 30)
        return Verdict.NOW if now >= restarts[-1] + timedelta(seconds=pause) else Verdict.WAIT
