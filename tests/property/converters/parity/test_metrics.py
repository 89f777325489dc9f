# SPDX-License-Identifier: Apache-2.0
"""The laws of the measures, as :mod:`converters.parity.metrics` states them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converters.parity import metrics
from core.tensors import Array

SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, max_side=5)
ANY_FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)
TAME = st.floats(-1e6, 1e6, width=32).map(lambda value: 0.0 if abs(value) < 1e-6 else value)


def pairs(elements: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[Array, Array]]:
    """Two float arrays of one shape."""
    return SHAPES.flatmap(
        lambda shape: st.tuples(*[hnp.arrays(np.float32, shape, elements=elements) for _ in range(2)])
    )


@given(hnp.arrays(np.float32, SHAPES, elements=TAME))
def test_an_array_is_like_itself(array: Array) -> None:
    """An array compared with itself has no error, cosine 1 and agreement 1."""
    assert not metrics.errors(array, array).any()
    assert metrics.cosine(array, array) == pytest.approx(1.0)
    assert metrics.agreement(array, array) == 1.0


@given(pairs(TAME))
def test_exchanging_the_two_changes_nothing(both: tuple[Array, Array]) -> None:
    """Errors and agreement do not change when the two are exchanged."""
    a, b = both
    assert np.array_equal(metrics.errors(a, b), metrics.errors(b, a))
    assert metrics.agreement(a, b) == metrics.agreement(b, a)
    assert metrics.cosine(a, b) == pytest.approx(metrics.cosine(b, a))


@given(pairs(TAME), st.floats(0.01, 100.0))
def test_cosine_does_not_see_scale(both: tuple[Array, Array], factor: float) -> None:
    """Cosine does not change when either is scaled by a positive number."""
    a, b = (array.astype(np.float64) for array in both)
    assert metrics.cosine(a * factor, b) == pytest.approx(metrics.cosine(a, b), abs=1e-9)


@given(pairs(ANY_FLOATS))
def test_every_result_is_finite(both: tuple[Array, Array]) -> None:
    """Every result is finite whatever the input."""
    a, b = both
    differences, (largest, mean) = metrics.errors(a, b), metrics.scale(a)
    values = [largest, mean, metrics.cosine(a, b), metrics.agreement(a, b), *differences.tolist()]
    values += [metrics.relative(each, largest) for each in differences.tolist()]
    assert all(math.isfinite(value) for value in values)
    assert -1.0 <= metrics.cosine(a, b) <= 1.0
    found = metrics.histogram(differences)
    assert sum(found.counts) + found.zeros == differences.size
