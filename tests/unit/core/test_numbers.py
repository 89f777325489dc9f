# SPDX-License-Identifier: Apache-2.0
"""Integers reach an array as they are or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.numbers import exact_array, holds


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 255], "u1"), ([[-128], [127]], "i1"), ([2**64 - 1, 0], "<u8"), ([], "<i4"), (7, "<i2"), ([1.5, 2], "<f4")],
    ids=str,
)
def test_what_fits_is_kept(values: Any, dtype: str) -> None:
    """At the ends of each range, nested or not."""
    array = exact_array(values, np.dtype(dtype))
    assert (array.dtype, array.tolist()) == (np.dtype(dtype), values)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([256], "u1"), ([-1], "u1"), ([[1], [128]], "i1"), ([2**32], "<i4"), ([-1], "<u8"), ([2**64], "<u8")],
    ids=str,
)
def test_what_does_not_fit_is_refused(values: Any, dtype: str) -> None:
    """With either numpy; never wrapped around."""
    with pytest.raises(OverflowError):
        exact_array(values, np.dtype(dtype))


def test_ragged_lists_are_refused() -> None:
    """They are no array of any shape."""
    with pytest.raises(ValueError, match="inhomogeneous"):
        exact_array([[1], [2, 3]], np.dtype("<i4"))


def test_a_wrapped_integer_is_seen() -> None:
    """What numpy 1 makes of 300 is not 300; every other is what it was."""
    assert not holds(np.array([300 % 256], np.uint8), [300])
    assert not holds(np.array([[2**63]], np.uint64), [[-(2**63)]])
    assert holds(np.array([[2**64 - 1, 0]], np.uint64), [[2**64 - 1, 0]])
    assert holds(np.array([], np.int8), [])
