# SPDX-License-Identifier: Apache-2.0
"""Arrays to tensors and back: every dtype, and what cannot be carried."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from core.tensors import DType
from furoshiki import InvalidRequest
from furoshiki.tensors import DTYPES, datatype_of, decode_binary, decode_json, encode_binary, encode_json


@pytest.mark.parametrize("dtype", list(DType))
def test_table_is_the_servers(dtype: DType) -> None:
    """Every datatype of the server has the same name here."""
    array = np.zeros(1, dtype=dtype.numpy)
    assert datatype_of(array) == dtype.oip
    assert dtype.oip in {*DTYPES, "BYTES", "BF16"}


@pytest.mark.parametrize("dtype", ["c8", "M8[s]", "m8[s]", "V4", np.longdouble])
def test_dtypes_nobody_can_carry_are_refused(dtype: Any) -> None:
    """A dtype without a datatype is refused by name."""
    with pytest.raises(InvalidRequest, match=r"TENSOR_002: numpy dtype .* cannot be sent"):
        datatype_of(np.zeros(1, dtype=dtype))


def test_foreign_byte_order_and_layout_are_normalised() -> None:
    """Big-endian and non-contiguous arrays travel little-endian and row-major."""
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    back = decode_binary(memoryview(encode_binary(array)), "INT32", array.shape)
    assert back.tolist() == array.tolist()


def test_scalars_and_empty_arrays_keep_their_shape() -> None:
    """Rank 0 and size 0 survive both forms."""
    for array in (np.array(1.5, dtype=np.float32), np.zeros((0, 3), dtype=np.float32)):
        assert decode_binary(memoryview(encode_binary(array)), "FP32", array.shape).shape == array.shape
        assert decode_json(encode_json(array, name="x"), "FP32", array.shape).shape == array.shape


def test_text_is_sent_as_utf8_bytes() -> None:
    """Strings become UTF-8; elements come back as bytes."""
    array = np.array(["grün", "", "日本"])
    back = decode_binary(memoryview(encode_binary(array)), "BYTES", (3,))
    assert back.tolist() == ["grün".encode(), b"", "日本".encode()]
    assert encode_json(array, name="x") == ["grün", "", "日本"]


def test_objects_that_are_no_bytes_are_refused() -> None:
    """An object array may hold bytes and text only."""
    with pytest.raises(InvalidRequest, match="A float cannot be sent as BYTES"):
        encode_binary(np.array([1.5, b"x"], dtype=object))


def test_bfloat16_is_taken_and_comes_back_widened() -> None:
    """BF16 is sent bit for bit and received, exactly, as float32."""
    array = np.array([1.5, -2.0, 3.140625], dtype=ml_dtypes.bfloat16)
    back = decode_binary(memoryview(encode_binary(array)), datatype_of(array), (3,))
    assert back.dtype == np.float32
    assert back.tolist() == [1.5, -2.0, 3.140625]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_json_refuses_what_it_cannot_write(value: float) -> None:
    """NaN and infinity are refused with a pointer to the binary form."""
    with pytest.raises(InvalidRequest, match=r"TENSOR_005.*binary=True"):
        encode_json(np.array([value]), name="x")


def test_json_refuses_half_precision_and_raw_bytes() -> None:
    """FP16 and bytes that are no text have no JSON form."""
    with pytest.raises(InvalidRequest, match=r"TENSOR_002.*FP16.*binary=True"):
        encode_json(np.zeros(1, dtype=np.float16), name="x")
    with pytest.raises(InvalidRequest, match=r"TENSOR_005.*UTF-8"):
        encode_json(np.array([b"\xff"], dtype=object), name="x")


def test_json_null_is_nan() -> None:
    """What the service writes as null, because JSON has no NaN, is NaN again."""
    back = decode_json([[1.0, None], [None, 2.0]], "FP32", (2, 2))
    assert np.array_equal(back, np.array([[1, np.nan], [np.nan, 2]], dtype=np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("data", "datatype", "shape"),
    [
        ([1, 2], "FP32", (3,)),
        ([[1, 2], 3], "FP32", (3,)),
        ([None], "INT64", (1,)),
        ([300], "UINT8", (1,)),
        (["x"], "FP32", (1,)),
        ([1.0], "FP16x", (1,)),
    ],
)
def test_json_that_is_not_as_declared_is_refused(data: list[Any], datatype: str, shape: tuple[int, ...]) -> None:
    """Wrong count, ragged nesting, null in integers, overflow, text for numbers and unknown datatypes are refused."""
    with pytest.raises(ValueError):
        decode_json(data, datatype, shape)


@pytest.mark.parametrize(
    ("data", "datatype", "shape"),
    [
        (b"\x00" * 7, "FP32", (2,)),
        (b"\x00" * 12, "FP32", (2,)),
        (b"\x02\x00\x00\x00a", "BYTES", (1,)),
        (b"\x01\x00\x00\x00ab", "BYTES", (1,)),
        (b"\x01\x00", "BYTES", (1,)),
        (b"", "BYTES", (2**40,)),
        (b"\x00", "NOPE", (1,)),
        (b"\x00" * 3, "BF16", (1,)),
    ],
)
def test_bytes_that_are_not_as_declared_are_refused(data: bytes, datatype: str, shape: tuple[int, ...]) -> None:
    """Too few or too many bytes, lengths beyond the data, absurd shapes and unknown datatypes are refused."""
    with pytest.raises(ValueError):
        decode_binary(memoryview(data), datatype, shape)
