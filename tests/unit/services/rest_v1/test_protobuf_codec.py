# SPDX-License-Identifier: Apache-2.0
"""The Protobuf form of ``/v1/infer``: raw and contents fields, as strict and as bounded as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from core.errors import ErrorCode, FuroshikiError
from core.tensors import Array, DType
from services.edge import binary_tensors
from services.edge.limits import EdgeLimits
from services.rest_v1.furoshiki_v1_pb2 import Error, InferRequest, InferResponse, Tensor
from services.rest_v1.protobuf_codec import ProtobufCodec
from services.rest_v1.protobuf_wire import Census, TooManyFields
from tests.unit.services.rest_v1.conftest import EVERY_DATATYPE, LIMITS, answer, read, same, signature

CODEC = ProtobufCodec()


def raw(array: Array, dtype: DType) -> Tensor:
    return Tensor(datatype=dtype.oip, shape=array.shape, raw=binary_tensors.encode(array, dtype))


def typed(array: Array, dtype: DType) -> Tensor:
    assert dtype.grpc_field is not None
    contents: dict[str, Any] = {dtype.grpc_field: array.ravel().tolist()}
    return Tensor(datatype=dtype.oip, shape=array.shape, **contents)


def body(x: Tensor | None = None, **fields: Any) -> bytes:
    tensor = x or Tensor(datatype="FP32", shape=[1, 2], fp32_contents=[1, 2])
    return InferRequest(model="fake", inputs={"x": tensor}, **fields).SerializeToString()


def code_of(body: bytes, dtype: DType = DType.FP32) -> ErrorCode:
    with pytest.raises(FuroshikiError) as caught:
        read(CODEC, body, signature(dtype))
    return caught.value.code


def test_a_request() -> None:
    """Every field arrives; an empty version, no outputs and no timeout are none."""
    request = read(CODEC, body(version="3", outputs=["y"], timeout_ms=1500, priority=7))
    assert (request.model, request.version, request.outputs) == ("fake", "3", ("y",))
    assert (request.deadline, request.priority) == (101.5, 7)
    plain = read(CODEC, body())
    assert (plain.version, plain.outputs, plain.deadline, plain.priority) == (None, None, None, 0)


@EVERY_DATATYPE
def test_every_datatype_raw(dtype: DType, array: Array) -> None:
    """``raw`` carries every datatype, in and out."""
    assert same(read(CODEC, body(raw(array, dtype)), signature(dtype)).inputs["x"], array)
    assert CODEC.parse(body(raw(array, dtype)), LIMITS).raw
    sent = InferResponse.FromString(CODEC.encode(answer(array, dtype, raw=True), LIMITS))
    assert sent.outputs["y"] == raw(array, dtype)


@EVERY_DATATYPE
def test_every_datatype_in_its_contents(dtype: DType, array: Array) -> None:
    """Contents fields carry what the protocol gave one, in and out; FP16 and BF16 go out raw."""
    sent = InferResponse.FromString(CODEC.encode(answer(array, dtype), LIMITS))
    if dtype.grpc_field is None:
        assert sent.outputs["y"] == raw(array, dtype)
        wrong = Tensor(datatype=dtype.oip, shape=[1], fp32_contents=[1])
        assert code_of(body(wrong), dtype) is ErrorCode.TENSOR_DTYPE
        return
    assert sent.outputs["y"] == typed(array, dtype)
    assert same(read(CODEC, body(typed(array, dtype)), signature(dtype)).inputs["x"], array)


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        (Tensor(datatype="FP32", shape=[1, 2], fp32_contents=[1]), ErrorCode.TENSOR_SHAPE),
        (Tensor(datatype="FP32", shape=[1, 2], fp64_contents=[1, 2]), ErrorCode.TENSOR_DATA),
        (Tensor(datatype="FP32", shape=[1], raw=b"1234", fp32_contents=[1]), ErrorCode.TENSOR_DATA),
        (Tensor(datatype="FP32", shape=[1, 2], raw=b"1234"), ErrorCode.TENSOR_DATA),
        (Tensor(datatype="UINT8", shape=[1], uint_contents=[256]), ErrorCode.TENSOR_DATA),
        (Tensor(datatype="INT16", shape=[1], int_contents=[-40000]), ErrorCode.TENSOR_DATA),
        (Tensor(datatype="FP32", shape=[-1], fp32_contents=[1]), ErrorCode.TENSOR_SHAPE),
        (Tensor(datatype="FP32", shape=[1] * 5, fp32_contents=[1]), ErrorCode.TENSOR_SHAPE),
        (Tensor(datatype="FP32", shape=[2**40, 2**40], raw=b"1"), ErrorCode.TENSOR_SHAPE),
        (Tensor(datatype="", shape=[1], raw=b"1"), ErrorCode.TENSOR_DTYPE),
        (Tensor(datatype="BYTES", shape=[9], bytes_contents=[b""] * 9), ErrorCode.TOO_LARGE),
    ],
)
def test_wrong_tensors(tensor: Tensor, code: ErrorCode) -> None:
    """What is not the tensor that was declared is refused with its code."""
    assert code_of(body(tensor)) is code


@pytest.mark.parametrize(
    ("packed", "code"),
    [
        (b"", ErrorCode.MALFORMED),
        (b"\xff", ErrorCode.MALFORMED),
        (body()[:-1], ErrorCode.MALFORMED),
        (b"\x0a\x01\xff", ErrorCode.MALFORMED),
        (b"\x0b\x0c", ErrorCode.MALFORMED),
        (body(timeout_ms=0), ErrorCode.INVALID_FIELD),
        (body(timeout_ms=float("nan")), ErrorCode.INVALID_FIELD),
        (body(priority=-1), ErrorCode.INVALID_FIELD),
        (body() + InferRequest(inputs={"x": Tensor()}).SerializeToString(), ErrorCode.TENSOR_UNEXPECTED),
        (b"\x1a\x00" * 2000, ErrorCode.TOO_LARGE),
        (b"\x1a\x02\x12\x00" * 1000, ErrorCode.TOO_LARGE),
        (b"\x30\x01" * 5000, ErrorCode.TOO_LARGE),
    ],
)
def test_what_is_no_request(packed: bytes, code: ErrorCode) -> None:
    """Cut, broken, repeated and bombing bodies get their codes."""
    assert code_of(packed) is code


def test_a_body_of_empty_messages_is_not_parsed() -> None:
    """Fields are counted before the parser makes an object of each."""
    with pytest.raises(TooManyFields):
        Census(b"\x1a\x00" * 1000, most_fields=100)


def test_only_raw_data_may_be_large() -> None:
    """Beyond the limit on JSON a body must be raw tensor data but for as much."""
    limits = EdgeLimits(json_bytes=200)
    large = np.zeros((100, 2), dtype=np.float32)
    assert read(CODEC, body(raw(large, DType.FP32)), limits=limits).inputs["x"].shape == (100, 2)
    with pytest.raises(FuroshikiError, match="beside raw tensor data; the limit is 200"):
        CODEC.parse(body(typed(large, DType.FP32)), limits)
    with pytest.raises(FuroshikiError) as caught:
        CODEC.encode(answer(large, DType.FP32), limits)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_unpacked_numbers_are_read() -> None:
    """A writer that gives each number a field of its own is understood, as Protobuf demands."""
    numbers = b"".join(b"\x4d" + np.float32(value).tobytes() for value in (1, 2))
    tensor = Tensor(datatype="FP32", shape=[1, 2]).SerializeToString() + numbers
    entry = b"\x0a\x01x\x12" + bytes([len(tensor)]) + tensor
    packed = InferRequest(model="fake").SerializeToString() + b"\x1a" + bytes([len(entry)]) + entry
    assert read(CODEC, packed).inputs["x"].tolist() == [[1, 2]]


def test_an_error() -> None:
    """Errors are a message of their own; details are a JSON object in it."""
    told = {"code": "TENSOR_001", "message": "m", "retryable": False, "request_id": "r", "details": {"input": "x"}}
    sent = Error.FromString(CODEC.problem(told))
    assert (sent.code, sent.message, sent.request_id) == ("TENSOR_001", "m", "r")
    assert orjson.loads(sent.details_json) == {"input": "x"}
