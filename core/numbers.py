# SPDX-License-Identifier: Apache-2.0
"""Python's numbers as arrays, none of them changed on the way.

numpy 2 refuses an integer that its dtype cannot hold; numpy 1, which is served with where tflite-runtime is, wraps it around
with a warning: 300 sent as UINT8 would be answered for as 44.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from core.tensors import Array

_WRAPS: Final = np.lib.NumpyVersion(np.__version__) < "2.0.0"


def exact_array(values: Any, dtype: np.dtype[Any]) -> Array:
    """A new array of numbers or nested lists of them.

    Args:
        values: Integers for a dtype of integers; a float's digits are rounded as numpy rounds them.
        dtype: The array's.

    Raises:
        OverflowError: An integer is out of the dtype's range.
        ValueError: The nesting is ragged.
    """
    array: Array = np.array(values, dtype=dtype)
    if _WRAPS and dtype.kind in "iu" and not holds(array, values):
        raise OverflowError(f"an integer is out of range for {dtype}")
    return array


def holds(array: Array, values: Any) -> bool:
    """Whether an array has exactly these integers."""
    return np.array_equal(array, np.array(values, dtype=object))
