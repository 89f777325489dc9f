# SPDX-License-Identifier: Apache-2.0
"""When a batch may run on the event loop itself, which spares a small model the hand-over to a thread and back."""

from __future__ import annotations

from typing import Final

SAMPLES: Final = 16  # short batches in a row before the loop is used


class Pace:
    """Watches how long the batches of one model take.

    The loop may be used once :data:`SAMPLES` batches in a row took less than ``limit`` seconds each. One that takes longer
    sends the model back to its threads until as many short ones have been seen again. Nothing bounds that one batch: the
    time of a model may depend on its input, so a process that serves several tenants sets ``limit`` to 0.

    Args:
        limit: Seconds; 0 never uses the loop.
    """

    __slots__ = ("_limit", "_short")

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._short = 0

    @property
    def inline(self) -> bool:
        """Whether the next batch may run on the loop."""
        return self._short >= SAMPLES

    def note(self, seconds: float) -> None:
        """Takes the time of one batch, failed ones included."""
        self._short = self._short + 1 if seconds < self._limit else 0
