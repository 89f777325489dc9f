# SPDX-License-Identifier: Apache-2.0
"""What only the Open Inference Protocol has: binary tensors, ids, output selection, health and metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from core.errors import ErrorCode
from runners.testing import FakeRunner
from services.edge.limits import EdgeLimits
from services.testing import serving
from tests.unit.services.rest_v2.asking import ROUTE, ROWS, binary_outputs, send, tensor


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(FakeRunner(width=2), limits=EdgeLimits(tensor_elements=1000, tensors=3, rank=4)) as client:
        yield client


async def test_binary_in_and_out(client: httpx.AsyncClient) -> None:
    """Binary input is read where it lies; a request-wide binary_data_output brings every output back in binary form."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), parameters={"binary_data_output": True})
    head, tail = binary_outputs(response)
    assert response.headers["content-type"] == "application/octet-stream"
    assert head["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
    ]
    np.testing.assert_array_equal(np.frombuffer(tail, "<f4").reshape(2, 2), 2 * ROWS + 1)


async def test_an_output_overrides_the_request(client: httpx.AsyncClient) -> None:
    """binary_data of one output wins over binary_data_output of the request."""
    outputs = [{"name": "y", "parameters": {"binary_data": False}}]
    response = await send(
        client, tensor(), tail=ROWS.tobytes(), outputs=outputs, parameters={"binary_data_output": True}
    )
    assert response.json()["outputs"][0]["data"] == (2 * ROWS + 1).ravel().tolist()
    assert "inference-header-content-length" not in response.headers


@pytest.mark.parametrize("padding", range(4))
async def test_tensors_at_any_offset(client: httpx.AsyncClient, padding: int) -> None:
    """A JSON part of any length leaves the tensor unaligned in the body; the result is the same."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), id="x" * padding)
    assert response.json()["outputs"][0]["data"] == (2 * ROWS + 1).ravel().tolist()


async def test_id_is_echoed_only_when_given(client: httpx.AsyncClient) -> None:
    """The id of a request comes back; without one there is none."""
    with_id = await send(client, tensor(), tail=ROWS.tobytes(), id="42")
    without = await send(client, tensor(), tail=ROWS.tobytes())
    assert with_id.json()["id"] == "42"
    assert "id" not in without.json()


async def test_flat_data_and_nan_out(client: httpx.AsyncClient) -> None:
    """Flat data is accepted; a result that is not finite is null in JSON and exact in binary form."""
    rows = np.array([[np.nan, np.inf]], dtype="<f4")
    json_out = await send(client, tensor(shape=[1, 2], parameters={"binary_data_size": 8}), tail=rows.tobytes())
    assert json_out.json()["outputs"][0]["data"] == [None, None]
    flat = await client.post(ROUTE, json={"inputs": [tensor(parameters=None, data=[1, 2, 3, 4])]})
    assert flat.json()["outputs"][0]["data"] == [3, 5, 7, 9]


@pytest.mark.parametrize(
    ("change", "tail", "length", "code"),
    [
        ({}, b"\0" * 15, None, ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 17, None, ErrorCode.LENGTH_MISMATCH),
        ({}, b"", None, ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 16, "00", ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 16, "", ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 16, "99999", ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 16, "-1", ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 16, "1e3", ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 16, "9" * 5000, ErrorCode.LENGTH_MISMATCH),
        ({}, b"\0" * 16, "10", ErrorCode.MALFORMED),
        ({"parameters": {"binary_data_size": -1}}, b"", None, ErrorCode.LENGTH_MISMATCH),
        ({"parameters": {"binary_data_size": "16"}}, b"\0" * 16, None, ErrorCode.LENGTH_MISMATCH),
        ({"parameters": {"binary_data_size": True}}, b"\0", None, ErrorCode.LENGTH_MISMATCH),
        ({"parameters": {"binary_data_size": 12}}, b"\0" * 12, None, ErrorCode.TENSOR_DATA),
        ({"data": [1, 2, 3, 4]}, b"\0" * 16, None, ErrorCode.TENSOR_DATA),
        ({"parameters": None}, b"", None, ErrorCode.TENSOR_DATA),
        ({"parameters": None, "data": [1, 2, 3]}, b"", None, ErrorCode.TENSOR_SHAPE),
        ({"parameters": None, "data": [[1, 2, 3, 4]]}, b"", None, ErrorCode.TENSOR_SHAPE),
        ({"datatype": "FP31"}, b"\0" * 16, None, ErrorCode.TENSOR_DTYPE),
        ({"datatype": "FP64", "shape": [1, 2]}, b"\0" * 16, None, ErrorCode.TENSOR_DTYPE),
        ({"datatype": "FP16", "parameters": None, "data": [1, 2, 3, 4]}, b"", None, ErrorCode.TENSOR_DTYPE),
        ({"datatype": "BYTES"}, b"\xff" * 16, None, ErrorCode.TENSOR_DATA),
        ({"datatype": "BYTES"}, b"\0" * 12, None, ErrorCode.LENGTH_MISMATCH),
        ({"datatype": "BOOL", "shape": [16]}, b"\2" * 16, None, ErrorCode.TENSOR_DATA),
        ({"shape": [-1, 2]}, b"\0" * 16, None, ErrorCode.TENSOR_SHAPE),
        ({"shape": [-2, -2]}, b"\0" * 16, None, ErrorCode.TENSOR_SHAPE),
        ({"shape": [2**62, 2**62]}, b"\0" * 16, None, ErrorCode.TENSOR_SHAPE),
        ({"shape": [0, 2**62, 2**62], "parameters": {"binary_data_size": 0}}, b"", None, ErrorCode.TENSOR_SHAPE),
        ({"shape": [0, 2**62, 2**62], "parameters": None, "data": []}, b"", None, ErrorCode.TENSOR_SHAPE),
        ({"datatype": "BYTES", "shape": [1000]}, b"\0" * 16, None, ErrorCode.TENSOR_DATA),
        ({"shape": [1] * 5}, b"\0" * 16, None, ErrorCode.TENSOR_SHAPE),
        ({"shape": [2**70]}, b"\0" * 16, None, None),
        ({"shape": [1.5, 2]}, b"\0" * 16, None, ErrorCode.MALFORMED),
        ({"shape": "2,2"}, b"\0" * 16, None, ErrorCode.MALFORMED),
        ({"name": None}, b"\0" * 16, None, ErrorCode.MALFORMED),
    ],
)
async def test_what_contradicts_itself_is_refused(
    client: httpx.AsyncClient, change: dict[str, Any], tail: bytes, length: str | None, code: ErrorCode | None
) -> None:
    """A length, shape, datatype or size that contradicts another part of the request is a 400 with the code that names it."""
    response = await send(client, tensor(**change), tail=tail, length=length)
    assert response.status_code == 400, response.text
    assert response.headers["x-furoshiki-error"] in {code or ErrorCode.TENSOR_SHAPE, code or ErrorCode.MALFORMED}


async def test_an_input_given_twice_is_refused(client: httpx.AsyncClient) -> None:
    """The same name twice is ambiguous."""
    response = await send(client, tensor(), tensor(), tail=ROWS.tobytes() * 2)
    assert response.headers["x-furoshiki-error"] == ErrorCode.TENSOR_UNEXPECTED


async def test_too_many_bytes_elements_are_refused() -> None:
    """BYTES elements are counted over the whole request, before any is decoded: the data need not even be right."""
    async with serving(FakeRunner(width=2), limits=EdgeLimits(bytes_elements=10)) as client:
        one = tensor(datatype="BYTES", shape=[11], parameters={"binary_data_size": 44})
        halves = [tensor(name=name, datatype="BYTES", shape=[6], parameters={"binary_data_size": 24}) for name in "xy"]
        answers = [
            await send(client, one, tail=b"\xff" * 44),
            await send(client, *halves, tail=b"\0" * 48),
            await send(client, halves[0], tail=b"\0" * 24),
        ]
    assert [answer.headers["x-furoshiki-error"] for answer in answers] == [
        ErrorCode.TOO_LARGE,
        ErrorCode.TOO_LARGE,
        ErrorCode.TENSOR_DTYPE,
    ]
    assert "limit is 10" in answers[0].json()["error"]


async def test_too_many_inputs_are_refused(client: httpx.AsyncClient) -> None:
    """More inputs than the limit are not even decoded."""
    response = await send(client, *[tensor(name=str(n)) for n in range(4)], tail=ROWS.tobytes() * 4)
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (413, ErrorCode.TOO_LARGE)


async def test_an_unknown_output_is_refused(client: httpx.AsyncClient) -> None:
    """Asking for an output the model does not have names it."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), outputs=[{"name": "logits"}])
    assert response.headers["x-furoshiki-error"] == ErrorCode.TENSOR_UNEXPECTED
    assert "'logits'" in response.json()["error"]


@pytest.mark.parametrize("timeout", [-1, 1.5, "soon", True, 10**400])
async def test_a_wrong_timeout_is_refused(client: httpx.AsyncClient, timeout: object) -> None:
    """The timeout parameter is whole microseconds."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), parameters={"timeout": timeout})
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (400, ErrorCode.INVALID_FIELD)


async def test_a_passed_timeout_is_504() -> None:
    """A request whose timeout passes while the model is busy gets 504 TIMEOUT_001 and Retry-After."""
    runner = FakeRunner(width=2)
    async with serving(runner) as client:
        runner.gate.clear()
        response = await send(client, tensor(), tail=ROWS.tobytes(), parameters={"timeout": 1000})
        runner.gate.set()
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (504, ErrorCode.TIMEOUT)
    assert response.headers["retry-after"] == "1"


async def test_health_and_server_metadata_need_no_key(client: httpx.AsyncClient) -> None:
    """Live, ready (both fields, as different clients read different ones) and server metadata."""
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    for path in ("/v2/health/ready", "/readyz"):
        assert (await client.get(path)).json() == {"ready": True, "live": True}
    server = (await client.get("/v2")).json()
    assert server == {
        "name": "furoshiki",
        "version": "0",
        "extensions": ["binary_tensor_data", "schedule_policy", "model_repository", "statistics"],
    }


@pytest.mark.parametrize("selector", ["", "/versions/3"])
async def test_model_metadata_and_ready(client: httpx.AsyncClient, selector: str) -> None:
    """Metadata names tensors, digest and key; ready says so."""
    metadata = (await client.get(f"/v2/models/fake{selector}")).json()
    assert metadata["name"] == "fake"
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}]
    assert metadata["properties"]["digest"].startswith("sha256:")
    assert (await client.get(f"/v2/models/fake{selector}/ready")).json() == {"name": "fake", "ready": True}


@pytest.mark.parametrize(
    ("peer", "is_open", "status"),
    [
        ("127.0.0.1", False, 418),
        ("::1", False, 418),
        ("::ffff:127.0.0.1", False, 418),
        ("10.0.0.1", False, 404),
        ("::ffff:10.0.0.1", False, 404),
        ("fe80::1%eth0", False, 404),
        ("", False, 404),
        ("10.0.0.1", True, 418),
    ],
)
async def test_metrics_are_for_this_machine(peer: str, is_open: bool, status: int) -> None:
    """Metrics name every tenant: another machine is told that there is no such route, unless they were opened."""
    async with serving(FakeRunner(), metrics_open=is_open, peer=peer) as client:
        response = await client.get("/metrics")
    assert response.status_code == status
    if status == 404:
        assert response.json()["error"]["code"] == ErrorCode.ROUTE_NOT_FOUND
        assert response.headers["x-request-id"] == response.json()["error"]["request_id"]


@pytest.mark.parametrize("path", ["/", "/metrics", "/v2x", "/v22/models/fake", "/docs.json"])
async def test_other_paths_go_to_the_inner_application(client: httpx.AsyncClient, path: str) -> None:
    """What no edge owns is BentoML's to answer."""
    assert (await client.get(path)).status_code == 418


async def test_a_large_result_travels_in_binary_form_only() -> None:
    """A result above the JSON limit is refused as JSON, with the way out in the message, and sent in binary form."""
    rows = np.zeros((100, 2), dtype="<f4")
    large = tensor(shape=[100, 2], parameters={"binary_data_size": rows.nbytes})
    async with serving(FakeRunner(width=2), limits=EdgeLimits(json_bytes=512)) as client:
        as_json = await send(client, large, tail=rows.tobytes())
        as_binary = await send(client, large, tail=rows.tobytes(), parameters={"binary_data_output": True})
    assert (as_json.status_code, as_json.headers["x-furoshiki-error"]) == (413, ErrorCode.TOO_LARGE)
    assert "binary form" in as_json.json()["error"]
    assert as_binary.status_code == 200
