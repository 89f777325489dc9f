# SPDX-License-Identifier: Apache-2.0
"""Bucket, rows, bytes and cost of requests to each kind of model."""

from __future__ import annotations

import numpy as np
import pytest

from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.batching.options import BatchOptions, Ragged
from runners.batching.shapes import Measured, counts_rows, measure_of

RAGGED = BatchOptions(ragged=Ragged(inputs={"a": 1, "b": 2}, pads={"a": 0, "b": 0}))


def signature(*inputs: tuple[int, ...], dtype: DType = DType.FP32, batched: bool = True) -> Signature:
    out = TensorSpec(name="y", dtype=DType.FP32, shape=(ANY,) if batched else (1,))
    named = zip("abc", inputs, strict=False)
    return Signature(inputs=tuple(TensorSpec(name=n, dtype=dtype, shape=s) for n, s in named), outputs=(out,))


def zeros(**shapes: tuple[int, ...]) -> dict[str, Array]:
    return {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("model", "options", "inputs", "expected"),
    [
        (signature((ANY, 4), (ANY,)), BatchOptions(), zeros(a=(3, 4), b=(3,)), ((), 3, 60, 3, 0)),
        (signature((ANY, ANY)), BatchOptions(), zeros(a=(3, 5)), (((5,),), 3, 60, 60, 0)),
        (signature((ANY, ANY)), BatchOptions(), zeros(a=(3, 0)), (((0,),), 3, 0, 3, 0)),
        (signature((2, 3), batched=False), BatchOptions(), zeros(a=(2, 3)), ((), 1, 24, 1, 0)),
        (signature((ANY,), batched=False), BatchOptions(), zeros(a=(5,)), ((), 1, 20, 20, 0)),
        (
            signature((ANY, ANY), (ANY, 2, ANY), (ANY, 1)),
            RAGGED,
            zeros(a=(3, 5), b=(3, 2, 5), c=(3, 1)),
            (((ANY,), (2, ANY), (1,)), 3, 192, 15, 5),
        ),
        (
            signature((ANY, ANY), (ANY, 2, ANY)),
            RAGGED,
            zeros(a=(3, 5), b=(3, 2, 4)),
            (((5,), (2, 4)), 3, 156, 15, 0),
        ),
        (signature((ANY, ANY), (ANY, 2, ANY)), RAGGED, zeros(a=(3, 0), b=(3, 2, 0)), (((0,), (2, 0)), 3, 0, 1, 0)),
    ],
    ids=["rows", "varying", "empty", "alone", "alone varying", "ragged", "two lengths", "length zero"],
)
def test_measured(model: Signature, options: BatchOptions, inputs: dict[str, Array], expected: Measured) -> None:
    """Key, rows, bytes, units, length of the ragged axis."""
    assert measure_of(model, options)(inputs) == expected


def test_strings_cost_their_bytes() -> None:
    """The elements of BYTES differ in size, so their bytes are counted and not the pointers to them."""
    model = signature((ANY, 2), dtype=DType.BYTES)
    words = np.array([[b"one", b"three"]], dtype=object)
    assert measure_of(model, BatchOptions())({"a": words}) == (((2,),), 1, 8, 8, 0)
    assert not counts_rows(model, BatchOptions())
