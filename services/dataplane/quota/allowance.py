# SPDX-License-Identifier: Apache-2.0
"""What is left of a tenant's hour and day for this process: quotas, in whole requests, in windows of UTC.

As with tokens (:mod:`services.dataplane.quota.account`), one form serves both ways of sharing. Each window has a balance:
what was granted to this process and not spent. It may be spent below nothing, and what is spent so is settled later:

- *leased*: as far as the last answer left room, at most one hundredth of this process's share of the quota, at least one
  request; that, per process, is what may pass beyond a quota;
- *alone*: as far as this process's share of what nobody had taken when the processes last heard of each other.

A window ends by the monotonic clock, so a wall clock that is set back neither lengthens nor repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
MOST_HELD: Final = 1000.0  # requests granted to a process at once
_ADVANCE: Final = 0.01  # of its share of a quota a process may spend before it is granted
_CHUNK: Final = 0.25  # of its share of what is left a process asks for
_SCARCE_S: Final = 0.5  # before a quota that is used up is asked for again: another process may hand some back


class Window:
    """One quota of one tenant, as far as this process knows.

    Args:
        seconds: How long a window is.
        limit: Requests in it; inf: no limit.
        wall: Seconds since the epoch, to begin with.
        now: On the monotonic clock, at the same moment.
    """

    __slots__ = ("balance", "ends_at", "limit", "number", "seconds", "taken")

    def __init__(self, seconds: float, limit: float, *, wall: float, now: float) -> None:
        self.seconds = seconds
        self.limit = limit
        self.balance = 0.0
        self.taken = 0.0  # by all processes, as last heard
        self.number = math.floor(wall / seconds)  # since the epoch
        self.ends_at = now + seconds - wall % seconds

    @property
    def name(self) -> str:
        """For messages."""
        return "hour" if self.seconds == HOUR_S else "day"

    @property
    def rest(self) -> float:
        """What no process had taken, as last heard."""
        return max(0.0, self.limit - self.taken)

    def turn(self, now: float) -> None:
        """Begins a new window if this one has ended."""
        if now >= self.ends_at:
            passed = math.floor((now - self.ends_at) / self.seconds) + 1
            self.number += passed
            self.ends_at += passed * self.seconds
            self.taken = self.balance = 0.0

    def room(self, share: float, *, leased: bool) -> float:
        """Requests this process may let pass in the window."""
        ahead = max(1.0, share * self.limit * _ADVANCE) if leased else max(1.0, share * self.rest)
        return self.balance + math.floor(min(self.rest, ahead)) if self.limit < math.inf else math.inf


class Allowance:
    """A tenant's hour and day. ``left`` is what may pass before anybody looks again; the gate counts it down.

    Args:
        hourly: Requests per hour; inf: no limit.
        daily: Requests per day; inf: no limit.
        wall: Seconds since the epoch, to begin with.
        now: On the monotonic clock, at the same moment.
    """

    __slots__ = (
        "_looked",
        "_settled",
        "_share",
        "generation",
        "leased",
        "left",
        "low",
        "retry_at",
        "shut",
        "turns_at",
        "windows",
    )

    def __init__(self, hourly: float, daily: float, *, wall: float, now: float) -> None:
        self.windows = Window(HOUR_S, hourly, wall=wall, now=now), Window(DAY_S, daily, wall=wall, now=now)
        self.generation = ""  # of what Redis holds for the tenant; empty: never heard of
        self.leased = self.shut = False
        self.retry_at = -math.inf
        self._share = 1.0
        self._settled = True
        self.left = self._looked = 0.0
        self.low = -math.inf  # below it more is asked for
        self._look()
        self.turns_at = min(window.ends_at for window in self.windows)

    @property
    def untouched(self) -> bool:
        """Whether nothing is lost when it is forgotten."""
        return self.left == self._looked and not any(window.balance for window in self.windows)

    def change(self, hourly: float, daily: float) -> None:
        """Sets other quotas; what was used stays used."""
        self.fold()
        for window, limit in zip(self.windows, (hourly, daily), strict=True):
            window.limit = limit
        self._look()

    def share(self, share: float, *, leased: bool, shut: bool = False) -> None:
        """Sets the way of sharing. What was spent alone is settled by the first lease; until then that way goes on.

        Args:
            share: Of every quota that is this process's.
            leased: Whether it is granted in chunks from now on.
            shut: Nothing passes until that is so.
        """
        self.fold()
        self._share, self.leased, self.shut = share, leased, shut
        self._settled = not self.generation and all(window.balance >= 0 for window in self.windows)
        self.retry_at = -math.inf
        self._look()

    def unsettle(self) -> None:
        """Redis forgot: what this process has heard is to be told to it with the next lease, which is due."""
        self.fold()
        self._settled = False
        self.retry_at = -math.inf
        self._look()

    def turn(self, now: float) -> None:
        """Begins the windows that have come."""
        self.fold()
        for window in self.windows:
            window.turn(now)
        self.turns_at = min(window.ends_at for window in self.windows)
        self.retry_at = -math.inf
        self._look()

    def fold(self) -> None:
        """Writes what was spent into the windows."""
        spent = self._looked - self.left
        self._looked = self.left
        if 0.0 < spent < math.inf:
            for window in self.windows:
                window.balance -= spent

    def due(self, now: float) -> bool:
        """Whether more should be asked for."""
        return self.leased and self.left < self.low and now >= self.retry_at

    def wanted(self) -> int:
        """How many requests to ask for."""
        rest = min(window.rest + max(0.0, window.balance) for window in self.windows)
        return math.floor(max(1.0, min(MOST_HELD, rest * self._share * _CHUNK)))

    def settle(
        self,
        generation: str,
        granted: int,
        heard: Sequence[tuple[int, float, float]],
        returned: Sequence[float],
        now: float,
    ) -> None:
        """A lease arrived.

        Args:
            generation: Of what Redis holds.
            granted: Requests.
            heard: Per window its number, what all processes have taken, and seconds until it ends.
            returned: Per window the balance that was handed back.
            now: On the monotonic clock.
        """
        self.fold()
        self.generation = generation
        self._settled = True
        for window, (number, taken, ends_s), balance in zip(self.windows, heard, returned, strict=True):
            window.balance += granted - balance
            window.number, window.taken, window.ends_at = number, taken, now + ends_s
        self.turns_at = min(window.ends_at for window in self.windows)
        self.retry_at = -math.inf if granted else now + _SCARCE_S
        self._look()

    def used_up(self) -> list[Window]:
        """The windows in which nothing more may pass."""
        self.fold()
        return [window for window in self.windows if self._room(window) < 1.0]

    def _look(self) -> None:
        self.left = self._looked = 0.0 if self.shut else min(map(self._room, self.windows))
        if self.leased:
            self.low = self.wanted() / 2 if self._settled else math.inf
        else:
            self.low = -math.inf

    def _room(self, window: Window) -> float:
        return window.room(self._share, leased=self.leased and self._settled)
