# SPDX-License-Identifier: Apache-2.0
"""The datatype table is one-to-one in every direction, and shapes are judged before anything is allocated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from onnx.helper import tensor_dtype_to_np_dtype

from artifacts.testing import refused
from core.errors import ErrorCode, TensorError
from core.tensors import (
    ANY,
    DType,
    Signature,
    TensorSpec,
    check_against,
    dtype_from_numpy,
    dtype_from_oip,
    dtype_from_onnx,
    element_count,
    fits,
    nbytes,
)


@pytest.mark.parametrize("dtype", DType)
def test_every_datatype_round_trips(dtype: DType) -> None:
    """Protocol name, numpy dtype and ONNX number each lead back to the datatype."""
    assert dtype_from_oip(dtype.oip) is dtype
    assert dtype_from_numpy(dtype.numpy) is dtype
    assert dtype_from_onnx(dtype.onnx) is dtype


@pytest.mark.parametrize("dtype", [dtype for dtype in DType if dtype is not DType.BYTES])
def test_onnx_agrees(dtype: DType) -> None:
    """The ONNX number means the same numpy dtype to the onnx package."""
    assert tensor_dtype_to_np_dtype(dtype.onnx) == dtype.numpy


def test_the_protocols_names_are_all_there() -> None:
    """Exactly the datatypes of the Open Inference Protocol."""
    sizes = {f"{kind}{bits}": bits // 8 for kind in ("UINT", "INT") for bits in (8, 16, 32, 64)}
    sizes |= {"BOOL": 1, "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8}
    assert {d.oip: d.itemsize for d in DType} == {**sizes, "BYTES": None}


@pytest.mark.parametrize("numpy", [">f4", ">i8", ">u2"])
def test_byte_order_is_no_datatype(numpy: str) -> None:
    """Big-endian numbers have the datatype of their little-endian twins."""
    assert dtype_from_numpy(np.dtype(numpy)) is dtype_from_numpy(np.dtype(numpy.replace(">", "<")))


@pytest.mark.parametrize("numpy", ["S3", "U3", "O"])
def test_text_is_bytes(numpy: str) -> None:
    """Strings of any kind travel as BYTES."""
    assert dtype_from_numpy(np.dtype(numpy)) is DType.BYTES


@pytest.mark.parametrize("numpy", ["c8", "M8[s]", "m8[s]", "V4", "f4,i4"])
def test_other_numpy_dtypes_are_refused(numpy: str) -> None:
    """What the protocol cannot carry is named."""
    with refused(ErrorCode.TENSOR_DTYPE):
        dtype_from_numpy(np.dtype(numpy))


@pytest.mark.parametrize("name", ["", "fp32", "FLOAT", "FP32 ", "STRING", "FP8", "x" * 1000])
def test_unknown_names_are_refused_briefly(name: str) -> None:
    """Names are exact, and a long one is not repeated."""
    with pytest.raises(TensorError) as caught:
        dtype_from_oip(name)
    assert caught.value.code is ErrorCode.TENSOR_DTYPE
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("number", [0, -1, TensorProto.COMPLEX64, TensorProto.INT4, 99])
def test_unknown_onnx_numbers_are_refused(number: int) -> None:
    """An ONNX type the protocol lacks is refused."""
    with refused(ErrorCode.TENSOR_DTYPE, str(number)):
        dtype_from_onnx(number)


@given(st.lists(st.integers(-3, 2**70), max_size=6), st.integers(1, 2**40))
def test_element_count_is_the_product_or_refused(shape: list[int], limit: int) -> None:
    """Whatever is accepted is the exact product, within the limit, and a shape numpy can hold even where it is empty."""
    if any(dim < 0 for dim in shape) or math.prod(dim or 1 for dim in shape) > limit:
        with refused(ErrorCode.TENSOR_SHAPE):
            element_count(shape, name="t", limit=limit)
        return
    assert element_count(shape, name="t", limit=limit) == math.prod(shape) <= limit
    if 0 in shape:
        np.empty(0, dtype=np.float64).reshape(shape)


@pytest.mark.parametrize("shape", [[2**32, 2**32], [2**62, 4], [0, 2**62, 2**62], [1001], [-1], [0, -1]])
def test_overflowing_shapes_are_refused(shape: list[int]) -> None:
    """A product that would wrap, or that a zero hides, is judged as the number it is."""
    with refused(ErrorCode.TENSOR_SHAPE, "'t'"):
        element_count(shape, name="t", limit=1000)


def test_a_scalar_has_one_element() -> None:
    """The empty shape is a scalar."""
    assert element_count([], name="t", limit=1) == 1


@pytest.mark.parametrize(
    ("shape", "wanted", "expected"),
    [
        ((3, 4), (ANY, 4), True),
        ((3, 4), (3, 4), True),
        ((), (), True),
        ((3, 5), (ANY, 4), False),
        ((3,), (ANY, 4), False),
        ((3, 4, 1), (ANY, 4), False),
        ((0, 4), (ANY, 4), True),
    ],
)
def test_fits(shape: tuple[int, ...], wanted: tuple[int, ...], expected: bool) -> None:
    """Equal rank, and each dimension equal or free."""
    assert fits(shape, wanted) is expected


def test_a_refusal_says_got_and_expected() -> None:
    """Datatype first, then shape; both named with what was sent and what is wanted."""
    spec = TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 4))
    with refused(ErrorCode.TENSOR_DTYPE, "'x'", "acme/m@1", "FP64", "FP32"):
        check_against(spec, np.zeros((1, 4)), DType.FP64, subject="acme/m@1")
    with refused(ErrorCode.TENSOR_SHAPE, "'x'", "[1, 5]", "[-1, 4]"):
        check_against(spec, np.zeros((1, 5)), DType.FP32, subject="acme/m@1")


@pytest.mark.parametrize(
    ("first", "expected"), [((ANY, 2), True), ((1, 2), False), ((), False)], ids=["free", "fixed", "scalar"]
)
def test_batched_needs_every_tensor(first: tuple[int, ...], expected: bool) -> None:
    """One tensor without a free first dimension makes a model unbatched."""
    free = TensorSpec(name="y", dtype=DType.FP32, shape=(ANY,))
    other = TensorSpec(name="x", dtype=DType.FP32, shape=first)
    assert Signature(inputs=(other,), outputs=(free,)).batched is expected
    assert Signature(inputs=(free,), outputs=(free, other)).batched is expected


def test_bytes_count_their_payload() -> None:
    """Numbers count their storage, BYTES their contents, not the pointers."""
    words = np.array([b"four", b"", b"12"], dtype=object)
    assert nbytes({"a": np.zeros((2, 2), dtype=np.float32), "b": words}) == 16 + 6


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((ANY, 2), (ANY,), ANY), ((8, 2), (8,), 8), ((8, 2), (4,), None), ((8, 2), (ANY,), None), ((), (8,), None)],
)
def test_batch_size_is_what_all_tensors_share(
    first: tuple[int, ...], second: tuple[int, ...], expected: int | None
) -> None:
    """Free, fixed, or none if they differ; it takes no part in comparison."""
    x = TensorSpec(name="x", dtype=DType.FP32, shape=first)
    y = TensorSpec(name="y", dtype=DType.FP32, shape=second)
    assert Signature(inputs=(x,), outputs=(y,)).batch_size == expected


def test_with_any_batch_frees_the_first_dimension() -> None:
    """Of every tensor, and nothing else."""
    fixed = Signature(
        inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(8, 3)),),
        outputs=(TensorSpec(name="y", dtype=DType.INT64, shape=(8,)),),
    )
    free = fixed.with_any_batch()
    assert free.batched
    assert [spec.shape for spec in (*free.inputs, *free.outputs)] == [(ANY, 3), (ANY,)]
    assert [spec.dtype for spec in free.outputs] == [DType.INT64]
