# SPDX-License-Identifier: Apache-2.0
"""The JSON form of ``/v1/infer``."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

from core.errors import ErrorCode, FuroshikiError, TensorError
from core.tensors import DType, Signature
from services.rest_v1.json_codec import JsonCodec
from tests.unit.services.rest_v1.conftest import LIMITS, answer, read, signature

CODEC = JsonCodec()


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "fake", "inputs": {"x": [[1, 2]]}} | fields)


def code_of(body: bytes) -> ErrorCode:
    with pytest.raises(FuroshikiError) as caught:
        read(CODEC, body)
    return caught.value.code


def test_a_request() -> None:
    """Every field arrives; the datatype is the model's."""
    request = read(CODEC, body(version=3, outputs=["y"], timeout_ms=1500, priority=7))
    assert (request.model, request.version, request.outputs) == ("fake", "3", ("y",))
    assert (request.deadline, request.priority) == (101.5, 7)
    assert request.dtypes == {"x": DType.FP32}
    np.testing.assert_array_equal(request.inputs["x"], np.array([[1, 2]], dtype=np.float32))


def test_a_timeout_beyond_a_day_is_a_day() -> None:
    """No number of milliseconds can be too large for what waits for it."""
    assert read(CODEC, body(timeout_ms=1e300)).deadline == 100.0 + 86_400


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"timeout_ms": 0}, ErrorCode.INVALID_FIELD),
        ({"timeout_ms": -1}, ErrorCode.INVALID_FIELD),
        ({"priority": -1}, ErrorCode.INVALID_FIELD),
        ({"priority": 2**31}, ErrorCode.INVALID_FIELD),
        ({"priority": True}, ErrorCode.MALFORMED),
        ({"surprise": 1}, ErrorCode.MALFORMED),
        ({"inputs": [1]}, ErrorCode.MALFORMED),
        ({"inputs": {"x": [1], "a": 1, "b": 1, "c": 1, "d": 1}}, ErrorCode.TOO_LARGE),
        ({"inputs": {"z": [[1]]}}, ErrorCode.TENSOR_UNEXPECTED),
    ],
)
def test_refusals(fields: dict[str, Any], code: ErrorCode) -> None:
    """What is out of range or unknown is refused with its code."""
    assert code_of(body(**fields)) is code


@pytest.mark.parametrize(
    "inputs",
    [
        '{"x":[[1,2]],"x":[[3,4]]}',
        '{"x":[[1,2]],"x":[[1,2]]}',
        '{"x":1,"x":12}',
        '{"x":12,"x":1}',
        ' { "x" : [[1, 2]] , "\\u0078" : [[1, 2]] } ',
        '{"x":[[1,2]],"y":{"x":1},"x":[[1,2]]}',
    ],
)
def test_an_input_given_twice_is_refused(inputs: str) -> None:
    """JSON parsers take the last of two equal keys; here it is an error, however the key is written."""
    assert code_of(b'{"model":"fake","inputs":%b}' % inputs.encode()) is ErrorCode.TENSOR_UNEXPECTED


@pytest.mark.parametrize("inputs", ['{"x":[[1,2]]}', ' {\n"x" :\t[[1, 2] ] } ', '{"\\u0078":[[1,2]]}', "{}", " { } "])
def test_whitespace_and_escapes_are_no_duplicates(inputs: str) -> None:
    """Every way to write an input once is accepted."""
    message = CODEC.parse(b'{"model":"fake","inputs":%b}' % inputs.encode(), LIMITS)
    assert list(message.inputs) in (["x"], [])


def test_many_duplicates_are_counted_no_further_than_needed() -> None:
    """A body of nothing but one repeated input is refused."""
    with pytest.raises(FuroshikiError) as caught:
        CODEC.parse(b'{"model":"m","inputs":{%b}}' % b",".join([b'"x":1'] * 500), LIMITS)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_a_tensor_of_rank_0() -> None:
    """A model's scalar is a bare number, in and out."""
    request = read(CODEC, body(inputs={"x": 3}), signature(DType.INT64, ()))
    assert (request.inputs["x"].shape, request.inputs["x"].tolist()) == ((), 3)
    with pytest.raises(TensorError):
        read(CODEC, body(inputs={"x": [3]}), signature(DType.INT64, ()))
    encoded = orjson.loads(CODEC.encode(answer(np.array(3, dtype=np.int64), DType.INT64), LIMITS))
    assert encoded["outputs"] == {"y": 3}


def test_strings_are_counted_over_all_inputs() -> None:
    """The limit on BYTES elements holds for a request, not for each of its tensors."""
    wanted = signature(DType.BYTES, (-1,))
    both = Signature(inputs=(*wanted.inputs, *wanted.outputs), outputs=())
    assert read(CODEC, body(inputs={"x": ["a"] * 4, "y": ["b"] * 4}), both).inputs["y"].size == 4
    with pytest.raises(FuroshikiError) as caught:
        read(CODEC, body(inputs={"x": ["a"] * 5, "y": ["b"] * 4}), both)
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_an_error() -> None:
    """Errors are one object under ``error``."""
    assert orjson.loads(CODEC.problem({"code": "X"})) == {"error": {"code": "X"}}
