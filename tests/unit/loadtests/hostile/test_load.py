# SPDX-License-Identifier: Apache-2.0
"""Percentiles of a histogram, and what a round says of the quiet tenant."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from loadtests.hostile.__main__ import Round, growth, report
from loadtests.hostile.load import Sample


def sample(*histogram: tuple[int, int], not_200: int = 0) -> Sample:
    requests = sum(count for _, count in histogram)
    return Sample(seconds=2.0, requests=requests, not_200=not_200, socket_errors=0, histogram=histogram)


def test_percentiles() -> None:
    """A percentile is the smallest latency that so many requests did not exceed."""
    seen = sample((1000, 98), (5000, 1), (9000, 1))
    assert [seen.percentile_ms(share) for share in (0.5, 0.98, 0.99, 1.0)] == [1, 1, 5, 9]
    assert seen.per_second == pytest.approx(50)
    assert sample((1000, 10), not_200=4).per_second == pytest.approx(3)


def test_growth_is_the_median_of_the_rounds() -> None:
    """One bad round of three does not decide."""
    rounds = [
        Round(alone=sample((1000, 10)), beside=sample((1000 * times, 10)), hostile=sample((100, 1)))
        for times in (1, 2, 9)
    ]
    assert growth(rounds) == 2
    out = io.StringIO()
    Console(file=out, width=120).print(report(rounds, title="t"))
    assert "quiet, beside the hostile one" in out.getvalue()
    assert "2.00" in out.getvalue()
