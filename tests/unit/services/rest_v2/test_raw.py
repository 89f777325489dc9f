# SPDX-License-Identifier: Apache-2.0
"""Requests without JSON: the body is the model's one input."""

from __future__ import annotations

import pytest

from core.errors import ErrorCode
from core.tensors import ANY, DType, Signature, TensorSpec
from runners.testing import FakeRunner
from services.testing import serving
from services.testing_contract import EchoRunner
from tests.unit.services.rest_v2.asking import ROUTE, ROWS, binary_outputs


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ((ANY, 2), ROWS.tobytes(), [2, 2]),
        ((ANY, 2), b"", None),
        ((ANY, 3), ROWS.tobytes(), None),
        ((ANY, ANY), ROWS.tobytes(), [1, 4]),
        ((2, 2), ROWS.tobytes(), [2, 2]),
        ((2, 3), ROWS.tobytes(), None),
        ((ANY, ANY, ANY), ROWS.tobytes(), None),
        ((ANY, 2), ROWS.tobytes()[:-1], None),
    ],
)
async def test_raw_requests(shape: tuple[int, ...], data: bytes, expected: list[int] | None) -> None:
    """A body without JSON is the model's one input, shaped by what the model leaves open; outputs come in binary form."""
    runner = EchoRunner(DType.FP32)
    specs = [TensorSpec(name=name, dtype=DType.FP32, shape=shape) for name in "xy"]
    runner.signature = Signature(inputs=(specs[0],), outputs=(specs[1],))
    async with serving(runner) as client:
        response = await client.post(ROUTE, content=data, headers={"Inference-Header-Content-Length": "0"})
    if expected is None:
        assert response.status_code == 400
        assert response.headers["x-furoshiki-error"] in (ErrorCode.TENSOR_SHAPE, ErrorCode.TENSOR_DATA)
    else:
        head, tail = binary_outputs(response)
        assert (head["outputs"][0]["shape"], tail) == (expected, data)


async def test_a_raw_text() -> None:
    """The raw body of a BYTES input is its one element, without a length."""
    async with serving(EchoRunner(DType.BYTES)) as client:
        response = await client.post(ROUTE, content=b"some text", headers={"Inference-Header-Content-Length": "0"})
    head, tail = binary_outputs(response)
    assert (head["outputs"][0]["shape"], tail) == ([1, 1], b"\x09\0\0\0some text")


async def test_a_raw_request_has_one_input() -> None:
    """A model with several inputs cannot be asked without JSON."""
    async with serving(Two()) as client:
        response = await client.post(ROUTE, content=b"x" * 16, headers={"Inference-Header-Content-Length": "0"})
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (400, ErrorCode.INVALID_FIELD)


class Two(FakeRunner):
    """Has two inputs."""

    def __init__(self) -> None:
        super().__init__()
        specs = tuple(TensorSpec(name=name, dtype=DType.FP32, shape=(ANY, 2)) for name in "ab")
        self.signature = Signature(inputs=specs, outputs=specs)
