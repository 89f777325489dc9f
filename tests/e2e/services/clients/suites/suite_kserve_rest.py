# SPDX-License-Identifier: Apache-2.0
"""``kserve.InferenceRESTClient``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
import pytest_asyncio
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.e2e.services.clients.suites.facts import KINDS, TWICE, WORDS, service

SERVICE = service()
URL = f"http://{SERVICE.http}"


@pytest_asyncio.fixture
async def client() -> AsyncIterator[InferenceRESTClient]:
    async with InferenceRESTClient(RESTConfig(protocol="v2", retries=0)) as made:
        yield made


def asked(count: int, *, binary: bool, request_id: str | None = None) -> InferRequest:
    """A request for the labels of the first rows of digits."""
    tensor = InferInput("X", [count, 64], "FP32")
    tensor.set_data_from_numpy(SERVICE.rows[:count], binary_data=binary)
    wanted = [RequestedOutput("label", parameters={"binary_data": binary})]
    return InferRequest("digits", [tensor], request_id=request_id, request_outputs=wanted)


async def test_health(client: InferenceRESTClient) -> None:
    """Live, ready, and the model ready; an absent one is not."""
    assert await client.is_server_live(URL) is True
    assert await client.is_server_ready(URL) is True
    assert await client.is_model_ready(URL, "digits", headers=SERVICE.headers) is True
    assert await client.is_model_ready(URL, "absent", headers=SERVICE.headers) is False


@pytest.mark.parametrize("binary", [True, False])
async def test_concurrent_requests(client: InferenceRESTClient, binary: bool) -> None:
    """Thirty at a time each get their own id and values, in binary and in JSON."""

    async def ask(number: int) -> None:
        count = 1 + number % 8
        request = asked(count, binary=binary, request_id=str(number))
        answer = await client.infer(URL, request, model_name="digits", headers=SERVICE.headers)
        assert (answer.id, answer.model_name) == (str(number), "digits")
        (output,) = answer.outputs
        np.testing.assert_array_equal(output.as_numpy(), SERVICE.labels[:count])

    await asyncio.gather(*map(ask, range(30)))


async def test_every_datatype(client: InferenceRESTClient) -> None:
    """The extremes of each fixed-size datatype come back bit by bit."""
    tensors = []
    for datatype, array in KINDS.items():
        tensor = InferInput(f"in_{datatype}", list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=True)
        tensors.append(tensor)
    request = InferRequest("kinds", tensors, parameters={"binary_data_output": True})
    answer = await client.infer(URL, request, model_name="kinds", headers=SERVICE.headers)
    assert len(answer.outputs) == len(KINDS)
    for output in answer.outputs:
        assert output.as_numpy().tobytes() == KINDS[output.datatype].tobytes()


async def test_texts_as_plain_json(client: InferenceRESTClient) -> None:
    """A dict of one's own, without any class of the client."""
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2, 2], "data": WORDS.ravel().tolist()}
    headers: dict[str, str] = {}
    answer = await client.infer(
        URL, {"inputs": [tensor]}, model_name="words", headers=SERVICE.headers, response_headers=headers
    )
    (twice,) = [output for output in answer.outputs if output.name == "twice"]
    assert twice.data == TWICE.ravel().tolist()
    assert headers["x-furoshiki-model-digest"].startswith("sha256:")


async def test_refusals(client: InferenceRESTClient) -> None:
    """An absent model and an absent key are errors with their status."""
    for status, model, headers in ((404, "absent", SERVICE.headers), (401, "digits", {})):
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await client.infer(URL, asked(1, binary=True), model_name=model, headers=headers)
        assert caught.value.response.status_code == status
