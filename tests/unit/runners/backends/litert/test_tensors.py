# SPDX-License-Identifier: Apache-2.0
"""The edge of a TFLite model: integers by scale are floats to callers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from core.tensors import ANY, DType
from runners.backends.litert.tensors import edge


def details(dtype: type, *, scale: float = 0.0, zero: int = 0, **fields: Any) -> dict[str, Any]:
    """As an interpreter describes a tensor."""
    shape = np.array([1, 4], np.int32)
    return {
        "index": 3,
        "dtype": dtype,
        "quantization": (scale, zero),
        "shape": shape,
        "shape_signature": shape,
        **fields,
    }


def test_a_plain_tensor_passes_as_it_is() -> None:
    """The very array, in and out."""
    found, x = edge("x", details(np.float32)), np.ones((1, 4), np.float32)
    assert (found.dtype, found.shape) == (DType.FP32, (1, 4))
    assert found.inward(x) is x
    assert found.outward(x) is x


def test_a_free_dimension_is_any() -> None:
    """`shape_signature` has -1 where `shape` has 1."""
    assert edge("x", details(np.float32, shape_signature=np.array([-1, 4], np.int32))).shape == (ANY, 4)
    assert edge("x", details(np.float32, shape_signature=np.array([], np.int32))).shape == (1, 4)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero"), [(np.int8, 0.5, -3), (np.uint8, 0.1, 128), (np.int16, 0.001, 0)], ids=str
)
def test_integers_by_scale_are_floats(dtype: type, scale: float, zero: int) -> None:
    """Within half a step of the value, clipped to what the integers can say."""
    found = edge("x", details(dtype, scale=scale, zero=zero))
    assert found.dtype is DType.FP32
    limits = np.iinfo(dtype)
    least, most = (limits.min - zero) * scale, (limits.max - zero) * scale
    x = np.linspace(least, most, 101, dtype=np.float32)
    stored = found.inward(x)
    assert stored.dtype == dtype
    np.testing.assert_allclose(found.outward(stored), x, atol=scale * 0.5001)
    far = found.outward(found.inward(np.array([-1e9, 1e9], np.float32)))
    np.testing.assert_allclose(far, [least, most], rtol=1e-5)


def test_halves_round_to_even() -> None:
    """As the reference kernels do."""
    found = edge("x", details(np.int8, scale=1.0))
    np.testing.assert_array_equal(found.inward(np.array([0.5, 1.5, 2.5, -0.5], np.float32)), [0, 2, 2, 0])


def test_integers_without_a_scale_stay_integers() -> None:
    """Token ids are not quantized."""
    assert edge("ids", details(np.int32)).dtype is DType.INT32


@pytest.mark.parametrize("dtype", [np.bytes_, np.complex64, np.object_])
def test_what_the_protocol_cannot_carry_is_refused(dtype: type) -> None:
    """MODEL_003 naming the tensor."""
    with refused(ErrorCode.MODEL_INVALID, "'words'"):
        edge("words", details(dtype))
