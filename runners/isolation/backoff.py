# SPDX-License-Identifier: Apache-2.0
"""How long to wait before a process that ended is started again: longer each time, unless it had lived well."""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 0.1
LONGEST_S: Final = 30.0
SETTLED_S: Final = 60.0  # a process that lived so long ended for a new reason


class Backoff:
    """The waits of one process: 0.1 s, doubled each time up to 30 s."""

    def __init__(self) -> None:
        self._next = FIRST_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait after a process that lived ``lived_s`` seconds."""
        if lived_s >= SETTLED_S:
            self._next = FIRST_S
        wait, self._next = self._next, min(2 * self._next, LONGEST_S)
        return wait
