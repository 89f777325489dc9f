# SPDX-License-Identifier: Apache-2.0
"""How the demo tells equal from different."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.local.case import Array, largest_difference


@pytest.mark.parametrize(
    ("got", "expected", "difference"),
    [
        (np.array([1, 2]), np.array([1, 2]), 0),
        (np.array([1.0, 2.5]), np.array([1.0, 2.0]), 0.5),
        (np.array([-1]), np.array([1]), 2),
        (np.empty((0, 3)), np.empty((0, 3)), 0),
    ],
)
def test_the_largest_difference_is_found(got: Array, expected: Array, difference: float) -> None:
    """Equal arrays differ by 0; others by their largest absolute difference."""
    assert largest_difference(got, expected) == difference


@pytest.mark.parametrize("got", [np.zeros(3), np.zeros((1, 2)), np.array([0.0, np.nan]), np.array([0.0, np.inf])])
def test_what_cannot_be_compared_differs_infinitely(got: Array) -> None:
    """Another shape, which numpy might broadcast, NaN and infinity are never within a tolerance."""
    assert largest_difference(got, np.zeros(2)) == float("inf")
