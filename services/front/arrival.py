# SPDX-License-Identifier: Apache-2.0
"""A body that comes in parts, received into its final place.

Its binary part is aligned, so that tensors are views of it. Memory that was not received yet is reserved and not used; what
was received is counted among all bodies under way.
"""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from services.edge.bodies import BodyBudget
from services.edge.http import dripped
from services.edge.limits import EdgeLimits
from services.front.heads import Head

_ALIGNMENT: Final = 16  # what an array begins at


class Arrival:
    """One body.

    Args:
        head: Says how long it is.
        budget: What all bodies under way may hold.
        limits: How long it may take.

    Attributes:
        body: The whole body, once it is complete.
        free: The part that is still to come.
    """

    __slots__ = ("_budget", "_end", "_longest_s", "body", "free")

    def __init__(self, head: Head, budget: BodyBudget, limits: EdgeLimits) -> None:
        padding = -head.json_size % _ALIGNMENT
        room = np.empty(padding + head.length, np.uint8)  # not cleared: memory that is not touched costs nothing
        self.body = self.free = room.data[padding:]
        self._budget = budget
        self._longest_s = limits.body_s
        self._end = time.monotonic() + limits.body_s

    def received(self, nbytes: int) -> bool:
        """Notes that the first ``nbytes`` of ``free`` are filled.

        Returns:
            Whether the body is complete.

        Raises:
            Overloaded: ``QUEUE_001`` if all bodies under way would hold too much.
            DeadlineExceeded: ``TIMEOUT_001`` if it took too long.
        """
        self._budget.take(nbytes)
        self.free = self.free[nbytes:]
        if not len(self.free):
            return True
        if time.monotonic() > self._end:
            raise dripped(self._longest_s)
        return False

    def close(self) -> None:
        """Gives back what it was counted with. Once."""
        self._budget.give(len(self.body) - len(self.free))
