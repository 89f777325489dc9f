# SPDX-License-Identifier: Apache-2.0
"""From measurements to a choice: throughput first, then latency, then fewer cores."""

from __future__ import annotations

import pytest

from artifacts.tuning import Chosen, Point
from runners.tuning.choice import TIE, choose


def point(instances: int, threads: int, rows: int, rate: float, ms: float) -> Point:
    return Point(instances=instances, threads=threads, rows=rows, rows_per_s=rate, p50_ms=ms)


def chosen(*of: int) -> Chosen:
    instances, threads, rows = of
    return Chosen(instances=instances, threads=threads, max_rows=rows)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([point(1, 1, 1, 100, 10)], chosen(1, 1, 1)),
        ([point(1, 1, 8, 100, 10), point(2, 1, 8, 190, 11)], chosen(2, 1, 8)),
        ([point(2, 1, 8, 100, 10), point(1, 2, 8, 96, 6)], chosen(1, 2, 8)),
        ([point(2, 1, 8, 100, 10), point(1, 2, 8, 94, 6)], chosen(2, 1, 8)),
        ([point(1, 1, 16, 96, 2), point(1, 1, 32, 100, 4), point(1, 1, 64, 99, 8)], chosen(1, 1, 16)),
        ([point(2, 2, 4, 100, 5), point(2, 1, 4, 99, 5)], chosen(2, 1, 4)),
    ],
    ids=["only", "fastest", "tie-to-latency", "no-tie", "smallest-batch-worth-it", "fewer-cores"],
)
def test_the_choice(points: list[Point], expected: Chosen) -> None:
    """Each case has one answer, whatever the order of its points."""
    assert choose(points, batched=True) == expected
    assert choose(points[::-1], batched=True) == expected


def test_the_law() -> None:
    """No point is faster by more than TIE, and none within TIE of the fastest answers sooner."""
    points = [
        point(i, t, r, 17 * i * t + 31 * (r % 5) + 1, r / i) for i in (1, 2) for t in (1, 2) for r in (1, 2, 4, 8)
    ]
    found = choose(points, batched=True)
    (at,) = (p for p in points if (p.instances, p.threads, p.rows) == (found.instances, found.threads, found.max_rows))
    fastest = max(p.rows_per_s for p in points)
    assert at.rows_per_s >= (1 - TIE) * fastest
    assert not [p for p in points if p.rows_per_s >= (1 - TIE) * fastest and p.p50_ms < at.p50_ms]


def test_a_model_without_batches_gets_no_rows() -> None:
    """Its largest batch is not chosen: there is none."""
    assert choose([point(2, 1, 1, 10, 1)], batched=False) == Chosen(instances=2, threads=1, max_rows=None)
