# SPDX-License-Identifier: Apache-2.0
"""The MessagePack form of ``/v1/infer``: nested lists and raw tensors, as strict and as bounded as JSON."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest

from core.errors import ErrorCode, FuroshikiError
from core.tensors import Array, DType
from services.edge import binary_tensors
from services.edge.limits import EdgeLimits
from services.rest_v1.msgpack_codec import MsgpackCodec
from tests.unit.services.rest_v1.conftest import EVERY_DATATYPE, LIMITS, answer, read, same, signature

CODEC = MsgpackCodec()
NO_LISTS = (DType.FP16, DType.BF16)


def body(**fields: Any) -> bytes:
    return msgspec.msgpack.encode({"model": "fake", "inputs": {"x": [[1, 2]]}} | fields)


def raw(array: Array, dtype: DType) -> dict[str, Any]:
    return {"shape": array.shape, "datatype": dtype.oip, "data": binary_tensors.encode(array, dtype)}


def code_of(body: bytes, dtype: DType = DType.FP32) -> ErrorCode:
    with pytest.raises(FuroshikiError) as caught:
        read(CODEC, body, signature(dtype))
    return caught.value.code


def test_a_request() -> None:
    """Every field arrives."""
    request = read(CODEC, body(version="3", outputs=["y"], timeout_ms=1500, priority=7))
    assert (request.model, request.version, request.outputs) == ("fake", "3", ("y",))
    assert (request.deadline, request.priority) == (101.5, 7)


@EVERY_DATATYPE
def test_every_datatype_as_lists(dtype: DType, array: Array) -> None:
    """What lists can carry comes in bit for bit; FP16 and BF16 are refused with a sentence that names the raw form."""
    packed = body(inputs={"x": array.astype(object).tolist() if dtype in NO_LISTS else array.tolist()})
    if dtype in NO_LISTS:
        with pytest.raises(FuroshikiError, match="datatype"):
            read(CODEC, body(inputs={"x": [[1.0]]}), signature(dtype))
        return
    assert same(read(CODEC, packed, signature(dtype)).inputs["x"], array)
    assert not CODEC.parse(packed, LIMITS).raw


@EVERY_DATATYPE
def test_every_datatype_raw(dtype: DType, array: Array) -> None:
    """The raw form carries every datatype, in and out."""
    packed = body(inputs={"x": raw(array, dtype)})
    assert same(read(CODEC, packed, signature(dtype)).inputs["x"], array)
    assert CODEC.parse(packed, LIMITS).raw
    sent = msgspec.msgpack.decode(CODEC.encode(answer(array, dtype, raw=True), LIMITS))
    assert sent["outputs"] == {"y": {**raw(array, dtype), "shape": [2, 2]}}


@EVERY_DATATYPE
def test_outputs_as_lists(dtype: DType, array: Array) -> None:
    """Lists go out as the elements they are, BYTES as bin; a datatype without a list form goes out raw."""
    sent = msgspec.msgpack.decode(CODEC.encode(answer(array, dtype), LIMITS))
    expected = {**raw(array, dtype), "shape": [2, 2]} if dtype in NO_LISTS else array.tolist()
    assert sent["outputs"] == {"y": expected}


@pytest.mark.parametrize(
    ("data", "dtype", "code"),
    [
        ([["1", "2"]], DType.FP32, ErrorCode.TENSOR_DATA),
        ([[True, False]], DType.FP32, ErrorCode.TENSOR_DATA),
        ([[None, 1]], DType.FP32, ErrorCode.TENSOR_DATA),
        ([[1e300, 2]], DType.FP32, ErrorCode.TENSOR_DATA),
        ([[1, 2], [3]], DType.FP32, ErrorCode.TENSOR_DATA),
        ([[[1]]], DType.FP32, ErrorCode.TENSOR_DATA),
        (b"12345678", DType.FP32, ErrorCode.TENSOR_DATA),
        (1.5, DType.FP32, ErrorCode.TENSOR_DATA),
        ([[1.5, 2]], DType.INT32, ErrorCode.TENSOR_DATA),
        ([[300, 2]], DType.UINT8, ErrorCode.TENSOR_DATA),
        ([[-1, 2]], DType.UINT64, ErrorCode.TENSOR_DATA),
        ([[1, 2]], DType.BOOL, ErrorCode.TENSOR_DATA),
        ([["a", 1]], DType.BYTES, ErrorCode.TENSOR_DATA),
        ([["a", ["b"]]], DType.BYTES, ErrorCode.TENSOR_DATA),
        ([["a"], ["b", "c"]], DType.BYTES, ErrorCode.TENSOR_DATA),
        ([["a"] * 9], DType.BYTES, ErrorCode.TOO_LARGE),
        ({"shape": [1, 2], "datatype": "FP32"}, DType.FP32, ErrorCode.MALFORMED),
        ({"shape": [1, 2], "datatype": "FP32", "data": [1, 2]}, DType.FP32, ErrorCode.MALFORMED),
        ({"shape": [1, 2], "datatype": "FP32", "data": b"1234"}, DType.FP32, ErrorCode.TENSOR_DATA),
        ({"shape": [1, -2], "datatype": "FP32", "data": b""}, DType.FP32, ErrorCode.TENSOR_SHAPE),
        ({"shape": [1] * 5, "datatype": "FP32", "data": b"1234"}, DType.FP32, ErrorCode.TENSOR_SHAPE),
        ({"shape": [1001], "datatype": "INT8", "data": b""}, DType.INT8, ErrorCode.TENSOR_SHAPE),
        ({"shape": [1], "datatype": "FLOAT", "data": b""}, DType.FP32, ErrorCode.TENSOR_DTYPE),
        ({"shape": [1, 9], "datatype": "BYTES", "data": b"\0" * 36}, DType.BYTES, ErrorCode.TOO_LARGE),
    ],
)
def test_wrong_tensors(data: Any, dtype: DType, code: ErrorCode) -> None:
    """What is not the tensor that was declared, or that the model wants, is refused with its code."""
    assert code_of(body(inputs={"x": data}), dtype) is code


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x81\xa5model\xa4fake",
        msgspec.msgpack.encode([]),
        body(surprise=1),
        body(inputs=3),
        body() + b"\x00",
        body()[:-1],
        b"\x82\xa5model\xa1m\xa6inputs\x81\xa1x\xdd\xff\xff\xff\xff",  # a list of 4 billion elements, and no element
        b"\x82\xa5model\xa1m\xa6inputs\xdf\xff\xff\xff\xff\xa1x\xc0",
        b"\x82\xa5model\xa1m\xa6inputs\x81\xa1x" + b"\x91" * 3000,
        b"\x83\xa5model\xa1m\xa6inputs\x80\xa7outputs\xdd\xff\xff\xff\xff",
        b"\x82\xa5model\xa1\xff\xa6inputs\x80",
    ],
)
def test_what_is_no_request(packed: bytes) -> None:
    """Lying lengths, depth bombs and bytes that are no UTF-8 get VALID_001 (an impossible number of inputs VALID_003)."""
    tracemalloc.start()
    try:
        assert code_of(packed) in (ErrorCode.MALFORMED, ErrorCode.TOO_LARGE)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_an_input_given_twice_is_refused() -> None:
    """The map says how many entries it has; the parser would keep the last of two equal ones."""
    twice = b"\x82\xa5model\xa1m\xa6inputs\x82\xa1x\x91\x01\xa1x\x91\x01"
    assert code_of(twice) is ErrorCode.TENSOR_UNEXPECTED


def test_only_raw_data_may_be_large() -> None:
    """Beyond the limit on JSON a body must be raw tensor data but for as much."""
    limits = EdgeLimits(json_bytes=200)
    large = np.zeros((100, 2), dtype=np.float32)
    assert read(CODEC, body(inputs={"x": raw(large, DType.FP32)}), limits=limits).inputs["x"].shape == (100, 2)
    with pytest.raises(FuroshikiError, match="beside raw tensor data; the limit is 200"):
        CODEC.parse(body(inputs={"x": large.tolist()}), limits)
    with pytest.raises(FuroshikiError) as caught:
        CODEC.encode(answer(large, DType.FP32), limits)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_tensor_of_rank_0() -> None:
    """A model's scalar is a bare number, in and out."""
    request = read(CODEC, body(inputs={"x": 3}), signature(DType.INT64, ()))
    assert (request.inputs["x"].shape, request.inputs["x"].tolist()) == ((), 3)
    sent = msgspec.msgpack.decode(CODEC.encode(answer(np.array(3, dtype=np.int64), DType.INT64), LIMITS))
    assert sent["outputs"] == {"y": 3}


def test_not_a_number_survives() -> None:
    """Unlike JSON, MessagePack has NaN, in either form."""
    request = read(CODEC, body(inputs={"x": [[float("nan"), float("-inf")]]}))
    assert np.isnan(request.inputs["x"][0, 0])
    assert request.inputs["x"][0, 1] == -np.inf
