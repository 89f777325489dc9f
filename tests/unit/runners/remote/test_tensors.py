# SPDX-License-Identifier: Apache-2.0
"""Tensors on the wire: refused unless they are exactly what the signature says."""

from __future__ import annotations

import numpy as np
import pytest

from core.tensors import ANY, Array, DType, Shape, TensorSpec
from runners.remote.framing import ProtocolError
from runners.remote.messages import encode
from runners.remote.tensors import pack, unpack

X = TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 2))
TEXT = TensorSpec(name="text", dtype=DType.BYTES, shape=(ANY,))


def payload(specs: list[TensorSpec], **arrays: Array) -> memoryview:
    return memoryview(b"".join(pack(specs, arrays).parts))


def test_numbers_are_views() -> None:
    """A numeric tensor refers to the payload itself."""
    data = payload([X], x=np.ones((3, 2), np.float32))
    back = unpack([X], [(3, 2)], data)["x"]
    assert np.shares_memory(back, np.frombuffer(data, np.uint8))


def test_a_slice_is_sent_as_it_looks() -> None:
    """Rows that are not contiguous in memory arrive in their own order."""
    rows = np.arange(200_000, dtype=np.float32).reshape(2, -1).T
    packed = pack([X], {"x": rows})
    np.testing.assert_array_equal(unpack([X], packed.shapes, memoryview(b"".join(packed.parts)))["x"], rows)


def test_another_datatype_is_not_sent() -> None:
    """Nothing is promoted: an array that is not of its signature's datatype stays where it is."""
    with pytest.raises(TypeError, match="float64"):
        pack([X], {"x": np.ones((1, 2))})


@pytest.mark.parametrize(
    "shapes",
    [[], [(1, 2), (1, 2)], [(1, 3)], [(2,)], [(-1, 2)], [(5, 2)], [(2**62, 2)]],
    ids=["none", "two", "width", "rank", "negative", "beyond", "huge"],
)
def test_a_shape_that_does_not_fit_is_refused(shapes: list[Shape]) -> None:
    """Tensors that are not the signature's, or not inside the payload, break the rules."""
    with pytest.raises(ProtocolError):
        unpack([X], shapes, payload([X], x=np.ones((4, 2), np.float32)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff" * 8, (9).to_bytes(8, "little") + b"\x93", (2).to_bytes(8, "little") + encode([1])],
    ids=["empty", "endless", "cut off", "not strings"],
)
def test_elements_that_lie_are_refused(data: bytes) -> None:
    """A BYTES tensor whose length, encoding or elements are wrong breaks the rules."""
    with pytest.raises(ProtocolError):
        unpack([TEXT], [(1,)], memoryview(data))


def test_a_wrong_number_of_elements_is_refused() -> None:
    """A BYTES tensor has exactly as many elements as its shape says."""
    with pytest.raises(ProtocolError):
        unpack([TEXT], [(3,)], payload([TEXT], text=np.array([b"a", b"b"], dtype=object)))
