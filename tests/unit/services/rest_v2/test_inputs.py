# SPDX-License-Identifier: Apache-2.0
"""Inputs in mixed forms, and BYTES whose lengths lie."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from core.errors import ErrorCode
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.interface import StopSignal
from runners.testing import FakeRunner
from services.edge.limits import EdgeLimits
from services.testing import serving
from services.testing_contract import EchoRunner
from tests.unit.services.rest_v2.asking import ROWS, binary_outputs, send, tensor


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(FakeRunner(width=2), limits=EdgeLimits(tensor_elements=1000, tensors=3, rank=4)) as client:
        yield client


@pytest.mark.parametrize(
    ("lengths", "data"),
    [
        ([5, 1], b"abcde" + b"x"),
        ([2**32 - 1, 0], b""),
        ([0, 7], b"abc"),
        ([3], b"abc"),
        ([3, 0, 0], b"abc"),
    ],
)
async def test_bytes_elements_that_lie(lengths: list[int], data: bytes) -> None:
    """Lengths of BYTES elements that do not add up to the tensor are refused, none is read beyond it."""
    tail = b"".join(length.to_bytes(4, "little") for length in lengths[:1]) + data
    tail += b"".join(length.to_bytes(4, "little") for length in lengths[1:])
    async with serving(EchoRunner(DType.BYTES)) as client:
        lie = tensor(datatype="BYTES", shape=[1, 2], parameters={"binary_data_size": len(tail)})
        response = await send(client, lie, tail=tail)
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (400, ErrorCode.TENSOR_DATA)


class Pair(FakeRunner):
    """Gives back its two inputs, numbers and words."""

    def __init__(self) -> None:
        super().__init__()
        specs = (
            TensorSpec(name="n", dtype=DType.INT64, shape=(ANY, 1)),
            TensorSpec(name="w", dtype=DType.BYTES, shape=(ANY, 2)),
        )
        self.signature = Signature(inputs=specs, outputs=specs)

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        return {name: array.copy() for name, array in inputs.items()}


@pytest.mark.parametrize("first", ["n", "w"])
@pytest.mark.parametrize("binary_out", ["n", "w", "both", "none"])
async def test_mixed_forms(first: str, binary_out: str) -> None:
    """One input in binary form and the other in JSON, in either order, and each output in the form it was asked for."""
    words = b"".join(len(word).to_bytes(4, "little") + word for word in (b"a", b"", b"\xc3\xa9", b"b c"))
    inputs: list[dict[str, Any]] = [
        {"name": "n", "datatype": "INT64", "shape": [2, 1], "data": [-1, 2**62]},
        {"name": "w", "datatype": "BYTES", "shape": [2, 2], "parameters": {"binary_data_size": len(words)}},
    ]
    outputs = [{"name": name, "parameters": {"binary_data": binary_out in (name, "both")}} for name in "nw"]
    async with serving(Pair()) as client:
        response = await send(client, *(inputs if first == "n" else inputs[::-1]), tail=words, outputs=outputs)
    if binary_out == "none":
        head, tail = response.json(), b""
    else:
        head, tail = binary_outputs(response)
    n, w = head["outputs"]
    expected = {"n": np.array([-1, 2**62]).tobytes(), "w": words}
    for output in (n, w):
        if binary_out in (output["name"], "both"):
            size = output["parameters"]["binary_data_size"]
            assert (tail[:size], "data" in output) == (expected[output["name"]], False)
            tail = tail[size:]
    assert tail == b""
    assert n.get("data", [-1, 2**62]) == [-1, 2**62]
    assert w.get("data", ["a", "", "é", "b c"]) == ["a", "", "é", "b c"]


@pytest.mark.parametrize("sizes", [(16, 16), (8, 16), (16, 24), (0, 16), (24, 8)])
async def test_binary_sizes_that_are_shifted(client: httpx.AsyncClient, sizes: tuple[int, int]) -> None:
    """Sizes that take bytes of one tensor for another's are refused unless all of them add up."""
    pair = [tensor(name=name, parameters={"binary_data_size": size}) for name, size in zip("xz", sizes, strict=True)]
    response = await send(client, *pair, tail=ROWS.tobytes() * 2)
    expected = ErrorCode.TENSOR_UNEXPECTED if sizes == (16, 16) else ErrorCode.TENSOR_DATA
    assert response.headers["x-furoshiki-error"] in (expected, ErrorCode.LENGTH_MISMATCH)
    assert (response.headers["x-furoshiki-error"] == expected) or sizes == (16, 24)
