# SPDX-License-Identifier: Apache-2.0
"""The cost curve: what it learns, how it reads between and beyond, and that noise does not move it."""

from __future__ import annotations

import random

import pytest

from runners.batching.curve import TRIES, CostCurve, bin_of
from runners.batching.testing import known_cost


def linear(units: int) -> float:
    return 0.002 + 0.001 * units


def test_bins_are_powers_of_two() -> None:
    """1, 2, 3-4, 5-8, …; a last bin holds everything beyond."""
    assert [bin_of(units) for units in (1, 2, 3, 4, 5, 8, 9, 64, 65, 1 << 80)] == [0, 1, 2, 2, 3, 3, 4, 6, 7, 63]


def test_nothing_is_known_at_first() -> None:
    """No time, no knots, and a guess by which sizes can be compared."""
    curve = CostCurve()
    assert (curve.seconds(3), curve.least(3), curve.knots(), curve.confident) == (None, None, [], False)
    assert curve.expected(1) < curve.expected(2) < 2 * curve.expected(1)


def test_a_size_is_believed_after_a_few_times() -> None:
    """Not before, so that one stray measurement decides nothing."""
    curve = CostCurve()
    for _ in range(TRIES - 1):
        curve.note(4, 1.0)
    assert curve.seconds(4) is None
    curve.note(4, 1.0)
    assert curve.seconds(4) == 1.0


@pytest.mark.parametrize("units", [1, 3, 10, 24, 64])
def test_between_sizes_it_is_linear(units: int) -> None:
    """What was not measured lies between what was."""
    assert known_cost(linear).seconds(units) == pytest.approx(linear(units))


def test_beyond_what_was_measured() -> None:
    """Larger: in proportion, and at least the largest. Smaller: like the smallest, and at least its share."""
    curve = CostCurve()
    for size in (8, 16):
        for _ in range(TRIES):
            curve.note(size, size / 10)
    assert curve.seconds(32) == pytest.approx(3.2)
    assert curve.least(32) == pytest.approx(1.6)
    assert curve.seconds(4) == pytest.approx(0.8)
    assert curve.least(4) == pytest.approx(0.4)


def test_bursts_of_noise_change_nothing() -> None:
    """A fifth of the executions takes up to thirty times as long: the median stays within a tenth."""
    curve, noise = CostCurve(), random.Random(7)
    for _ in range(400):
        size = noise.choice([1, 2, 4, 8, 16, 32, 64])
        curve.note(size, linear(size) * (noise.uniform(2, 30) if noise.random() < 0.2 else noise.uniform(1, 1.05)))
    for size in (1, 4, 16, 64):
        expected, least = curve.seconds(size), curve.least(size)
        assert expected is not None
        assert least is not None
        assert linear(size) <= least <= expected <= 1.1 * linear(size)


def test_a_changed_device_is_learned_anew() -> None:
    """After as many executions as are kept, the old times are gone."""
    curve = known_cost(linear)
    for _ in range(64):
        curve.note(8, 5.0)
    assert curve.seconds(8) == pytest.approx(5.0)


def test_memory_is_bounded() -> None:
    """A million sizes leave 64 bins at most."""
    curve = CostCurve()
    for exponent in range(200):
        curve.note(1 << exponent, 1.0)
    assert len(curve._bins) <= 64
