# SPDX-License-Identifier: Apache-2.0
"""The histogram of a union is the sum of the histograms, and percentiles are within a bin of the truth."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from registry_api.usage.histogram import add, bin_of, percentile

DURATIONS = st.lists(st.integers(min_value=1, max_value=10**10), min_size=1, max_size=200)


def histogram(durations: list[int]) -> dict[str, float]:
    bins: dict[str, float] = {}
    for duration in durations:
        add(bins, {bin_of(duration): 1.0})
    return bins


@given(DURATIONS, DURATIONS)
def test_the_histogram_of_a_union_is_the_sum_of_the_histograms(first: list[int], second: list[int]) -> None:
    """In any order and however they were split."""
    merged = histogram(first)
    add(merged, histogram(second))
    assert merged == histogram(second + first)


@given(DURATIONS, st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_within_nine_percent(durations: list[int], share: float) -> None:
    """Of the smallest duration that so many requests did not exceed."""
    truth = sorted(durations)[max(0, math.ceil(share * len(durations)) - 1)] / 1000
    found = percentile(histogram(durations), share)
    assert found is not None
    assert abs(found - truth) <= 0.095 * truth + 0.0006  # rounded to microseconds


def test_nothing_has_no_percentile() -> None:
    """Without requests there is no number to show."""
    assert percentile({}, 0.5) is None
