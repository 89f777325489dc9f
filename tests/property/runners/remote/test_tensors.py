# SPDX-License-Identifier: Apache-2.0
"""The law of tensors on the wire."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from core.tensors import ANY, Array, DType, TensorSpec
from runners.remote.framing import ProtocolError
from runners.remote.tensors import pack, unpack

SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[DType, Array]:
    """Any tensor the protocol can carry."""
    dtype, shape = draw(st.sampled_from(list(DType))), draw(SHAPES)
    count = int(np.prod(shape))
    if dtype is DType.BYTES:
        flat = np.empty(count, dtype=object)
        flat[:] = draw(st.lists(st.binary(max_size=20), min_size=count, max_size=count))
        return dtype, flat.reshape(shape)
    raw = draw(st.binary(min_size=count * dtype.numpy.itemsize, max_size=count * dtype.numpy.itemsize))
    if dtype is DType.BOOL:
        raw = bytes(byte & 1 for byte in raw)
    return dtype, np.frombuffer(bytearray(raw), dtype.numpy, count).reshape(shape)


@given(st.lists(tensors(), max_size=5))
def test_unpack_undoes_pack(given_tensors: list[tuple[DType, Array]]) -> None:
    """unpack(specs, shapes, payload) == arrays for what pack(specs, arrays) gave, bit by bit."""
    specs = [
        TensorSpec(name=str(index), dtype=dtype, shape=tuple(ANY for _ in array.shape))
        for index, (dtype, array) in enumerate(given_tensors)
    ]
    arrays = {str(index): array for index, (_, array) in enumerate(given_tensors)}
    packed = pack(specs, arrays)
    payload = b"".join(packed.parts)
    assert packed.size == len(payload)
    assert len(payload) % 8 == 0
    back = unpack(specs, packed.shapes, memoryview(payload))
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        if array.dtype == np.object_:
            assert back[name].ravel().tolist() == array.ravel().tolist()
        else:
            assert back[name].tobytes() == array.tobytes()


@given(
    st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5).map(tuple), max_size=3),
    st.binary(max_size=64),
    st.sampled_from([DType.FP32, DType.BYTES, DType.BOOL]),
)
def test_whatever_arrives_is_tensors_or_refused(shapes: list[tuple[int, ...]], data: bytes, dtype: DType) -> None:
    """Any shapes with any payload give tensors of the signature inside the payload, or a ProtocolError."""
    specs = [TensorSpec(name=name, dtype=dtype, shape=(ANY, 2)) for name in "ab"]
    try:
        arrays = unpack(specs, shapes, memoryview(data))
    except ProtocolError:
        return
    assert [array.shape for array in arrays.values()] == shapes
    assert all(array.shape[1] == 2 for array in arrays.values())
