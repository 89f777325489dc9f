# SPDX-License-Identifier: Apache-2.0
"""From measurements to a choice.

Law: no point is faster than the chosen one by more than ``TIE``, and of the points within ``TIE`` of the fastest none answers
sooner. So the chosen rows are the largest batch worth waiting for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from artifacts.tuning import Chosen, Point

TIE: Final = 0.05  # throughputs that differ by less are equal: repeated measurements differ that much


def choose(points: Sequence[Point], *, batched: bool) -> Chosen:
    """What to run a model with.

    Args:
        points: What was measured; at least one.
        batched: Whether the model takes batches.
    """
    enough = (1 - TIE) * max(point.rows_per_s for point in points)
    best = min(
        (point for point in points if point.rows_per_s >= enough),
        key=lambda point: (point.p50_ms, point.instances * point.threads, point.rows),
    )
    return Chosen(instances=best.instances, threads=best.threads, max_rows=best.rows if batched else None)
