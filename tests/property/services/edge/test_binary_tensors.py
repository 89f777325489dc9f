# SPDX-License-Identifier: Apache-2.0
"""``decode(encode(x)) == x`` for every datatype the binary form can carry."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.tensors import Array, DType
from services.edge import binary_tensors as binary

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
NUMERIC = [dtype for dtype in DType if dtype not in (DType.BYTES, DType.BF16)]


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Array, DType]:
    dtype = draw(st.sampled_from(NUMERIC))
    return draw(hnp.arrays(dtype.numpy, SHAPES)), dtype


@given(tensors(), st.binary(max_size=7))
def test_numeric_round_trip(pair: tuple[Array, DType], before: bytes) -> None:
    """Every numeric tensor survives, wherever it lies in the body, bit for bit."""
    array, dtype = pair
    data = binary.encode(array, dtype)
    decoded = binary.decode(
        before + data, len(before), len(data), dtype=dtype, shape=array.shape, count=array.size, name="t"
    )
    assert decoded.dtype == dtype.numpy
    assert decoded.tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_bytes_round_trip(elements: list[bytes]) -> None:
    """BYTES elements survive whatever they hold, empty ones included."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    data = binary.encode(array, DType.BYTES)
    decoded = binary.decode(data, 0, len(data), dtype=DType.BYTES, shape=array.shape, count=len(elements), name="t")
    assert decoded.tolist() == elements
