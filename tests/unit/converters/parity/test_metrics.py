# SPDX-License-Identifier: Apache-2.0
"""Single measures on small arrays whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from converters.parity import metrics


def test_errors_leave_out_what_is_not_finite() -> None:
    """NaN is counted apart and spoils no mean."""
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.5, np.nan, 3.0])

    assert metrics.errors(a, b).tolist() == [0.5, 0.0]
    assert metrics.non_finite(a, b) == 1
    assert metrics.non_finite(b, a) == 0


def test_cosine_is_the_mean_over_rows() -> None:
    """One row alike, one opposite, one at a right angle: 0."""
    a = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    b = np.array([[2.0, 0.0], [-1.0, -1.0], [0.0, 3.0]])

    assert metrics.cosine(a, b) == pytest.approx(0.0)
    assert metrics.cosine(np.zeros((1, 2)), np.zeros((1, 2))) == 1.0
    assert metrics.cosine(np.zeros((1, 2)), np.ones((1, 2))) == 0.0


def test_agreement_counts_the_largest_class() -> None:
    """Two of three rows have the same largest value."""
    a = np.array([[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
    b = np.array([[0.2, 0.7], [0.9, 0.1], [0.6, 0.4]])

    assert metrics.agreement(a, b) == pytest.approx(2 / 3)
    assert metrics.accuracy(a, np.array([1, 0, 0])) == pytest.approx(2 / 3)


def test_discrete_outputs_agree_when_all_values_are_equal() -> None:
    """Integers and strings have no nearly."""
    assert metrics.agreement(np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]])) == 0.5
    assert metrics.agreement(np.array([b"a", b"b"], object), np.array([b"a", b"c"], object)) == 0.5


def test_clipping_begins_half_a_step_outside() -> None:
    """A value that rounds to the last step is not clipped."""
    limits = (0.0, 255.0)

    assert metrics.clipped(np.array([0.0, 255.0, 255.4, -0.4]), limits) == 0
    assert metrics.clipped(np.array([256.0, -1.0, 100.0]), limits) == 2


def test_the_histogram_counts_every_value_once() -> None:
    """Zeros apart, what is beyond the edges in the first or last bin."""
    found = metrics.histogram(np.array([0.0, 1e-20, 0.5, 0.5, 1e9]))

    assert found.zeros == 1
    assert sum(found.counts) == 4
    assert (found.counts[0], found.counts[-1]) == (1, 1)
    assert len(found.edges) == len(found.counts) + 1


def test_an_error_of_nothing_is_itself() -> None:
    """Where the source is zero, the relative error is the error."""
    assert metrics.relative(0.5, 0.0) == 0.5
    assert metrics.relative(0.5, 2.0) == 0.25
    assert metrics.scale(np.array([np.nan, -4.0, 2.0])) == (4.0, 3.0)
