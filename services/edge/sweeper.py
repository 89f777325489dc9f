# SPDX-License-Identifier: Apache-2.0
"""One timer for everything that may take too long, instead of a timer each: most of it ends long before.

A sweep every ``every_s`` tells those that were there before the previous one, so that each is told between one and two
intervals after it entered. While nobody is there, nothing runs.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Watched(Protocol):
    """What enters; compared by identity."""

    def overdue(self) -> None:
        """It took too long and has left the sweeper. Must neither block nor raise."""
        ...


class Sweeper:
    """Tells what stays too long.

    Args:
        every_s: Seconds between two sweeps.
    """

    __slots__ = ("_every_s", "_present", "_sweeps", "_timer")

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._sweeps = 0
        self._present: dict[Watched, int] = {}  # in order of entry, with the sweeps made before
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._present)

    def enter(self, watched: Watched) -> None:
        """From now on its time counts. It must not be there already."""
        self._present[watched] = self._sweeps
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._sweep)

    def leave(self, watched: Watched) -> None:
        """It ended; may be called when it has left already."""
        self._present.pop(watched, None)

    def _sweep(self) -> None:
        late: list[Watched] = []
        for watched, entered in self._present.items():
            if entered == self._sweeps:
                break
            late.append(watched)
        self._sweeps += 1
        for watched in late:
            del self._present[watched]
            watched.overdue()
        self._timer = None
        if self._present:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._sweep)
