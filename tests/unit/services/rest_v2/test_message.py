# SPDX-License-Identifier: Apache-2.0
"""Parameters and outputs of a request: what is taken, ignored and refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from core.errors import ErrorCode
from runners.testing import FakeRunner
from services.edge.limits import EdgeLimits
from services.rest_v2 import codec
from services.testing import serving
from tests.unit.services.rest_v2.asking import ROWS, send, tensor


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(FakeRunner(width=2), limits=EdgeLimits(tensor_elements=1000, tensors=3, rank=4)) as client:
        yield client


@pytest.mark.parametrize(
    "parameters",
    [
        {"priority": -1},
        {"priority": 1.0},
        {"priority": "high"},
        {"priority": 2**31},
        {"priority": None},
        {"sequence_id": 7},
        {"sequence_id": "seven"},
        {"sequence_start": True},
        {"sequence_end": True},
    ],
)
async def test_parameters_that_are_refused(client: httpx.AsyncClient, parameters: dict[str, Any]) -> None:
    """A priority that is none, and sequences, which would need a memory between requests."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), parameters=parameters)
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (400, ErrorCode.INVALID_FIELD)
    assert next(iter(parameters)) in response.json()["error"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"priority": 0},
        {"priority": 1, "timeout": 30_000_000},
        {"sequence_id": 0, "sequence_start": False, "sequence_end": False},
        {"headers": {"a": "b"}, "triton_enable_empty_final_response": True, "mine": [1, {"two": 3}]},
        None,
    ],
)
async def test_parameters_that_are_accepted(client: httpx.AsyncClient, parameters: dict[str, Any] | None) -> None:
    """A schedule, defaults written out, and what the server does not know."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), parameters=parameters)
    assert response.status_code == 200


async def test_an_output_asked_for_twice_is_refused(client: httpx.AsyncClient) -> None:
    """The same output twice is a mistake."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), outputs=[{"name": "y"}, {"name": "y"}])
    assert response.headers["x-furoshiki-error"] == ErrorCode.TENSOR_UNEXPECTED


async def test_classification_is_refused(client: httpx.AsyncClient) -> None:
    """The classification extension would change what an output is; it is not there, and that is said."""
    outputs = [{"name": "y", "parameters": {"classification": 3}}]
    response = await send(client, tensor(), tail=ROWS.tobytes(), outputs=outputs)
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (400, ErrorCode.INVALID_FIELD)


async def test_too_many_outputs_are_refused(client: httpx.AsyncClient) -> None:
    """More outputs than the limit are not even looked at."""
    response = await send(client, tensor(), tail=ROWS.tobytes(), outputs=[{"name": str(n)} for n in range(4)])
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (413, ErrorCode.TOO_LARGE)


@pytest.mark.parametrize(
    ("parameters", "deadline", "priority"),
    [({}, None, 0), ({"timeout": 0}, None, 0), ({"timeout": 1_500_000}, 101.5, 0), ({"priority": 7}, None, 7)],
)
def test_the_schedule_is_passed_on(parameters: dict[str, int], deadline: float | None, priority: int) -> None:
    """A timeout becomes a deadline on the loop's clock, a priority what it is."""
    body = orjson.dumps({"inputs": [], "parameters": parameters})
    request, _ = codec.decode(
        body, None, limits=EdgeLimits(), tenant="acme", model="m", version=None, request_id="r", now=100.0
    )
    assert (request.deadline, request.priority) == (deadline, priority)
