# SPDX-License-Identifier: Apache-2.0
"""When a failed delivery is tried again, and when it is given up. Pure.

Pauses double from 5 s to at most an hour; chance takes up to half of each away, so that receivers that come back are not
met by everything at once. A delivery is dead once the pauses it was told to wait, without chance, would exceed the limit.
That counts attempts and not the clock, so a clock that is set does not end or prolong a delivery.
"""

from __future__ import annotations

from typing import Final

FIRST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 3600.0


def pause(attempts: int, *, limit_seconds: float, chance: float) -> float | None:
    """Seconds to wait after the last of ``attempts`` failed; None: give up.

    Args:
        attempts: How many there were, from 1.
        limit_seconds: What all pauses may take together.
        chance: Of [0, 1).
    """
    if sum(_planned(attempt) for attempt in range(1, attempts + 1)) > limit_seconds:
        return None
    return _planned(attempts) * (1 - chance / 2)


def _planned(attempt: int) -> float:
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempt - 1, 30))
