# SPDX-License-Identifier: Apache-2.0
"""``kserve.InferenceGRPCClient``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
import pytest_asyncio
from kserve import InferenceGRPCClient, InferInput, InferRequest

from tests.e2e.services.clients.suites.facts import KINDS, TWICE, WORDS, service

SERVICE = service()
METADATA = tuple(SERVICE.metadata.items())


@pytest_asyncio.fixture
async def client() -> AsyncIterator[InferenceGRPCClient]:
    async with InferenceGRPCClient(SERVICE.grpc, retries=0) as made:
        yield made


async def test_health(client: InferenceGRPCClient) -> None:
    """Live, ready, and the model ready."""
    assert await client.is_server_live() is True
    assert await client.is_server_ready() is True
    assert await client.is_model_ready("digits", headers=METADATA) is True


@pytest.mark.parametrize("raw", [True, False])
async def test_concurrent_requests(client: InferenceGRPCClient, raw: bool) -> None:
    """Thirty at a time each get their own id and values, from raw and from typed contents."""

    async def ask(number: int) -> None:
        count = 1 + number % 8
        tensor = InferInput("X", [count, 64], "FP32")
        if raw:
            tensor.set_data_from_numpy(SERVICE.rows[:count], binary_data=True)
        else:
            tensor.data = SERVICE.rows[:count].ravel().tolist()
        answer = await client.infer(InferRequest("digits", [tensor], request_id=str(number)), headers=METADATA)
        assert (answer.id, answer.model_name) == (str(number), "digits")
        (label,) = [output for output in answer.outputs if output.name == "label"]
        np.testing.assert_array_equal(label.as_numpy(), SERVICE.labels[:count])

    await asyncio.gather(*map(ask, range(30)))


async def test_datatypes_and_texts(client: InferenceGRPCClient) -> None:
    """Each datatype comes back bit by bit, and texts beyond ASCII."""
    tensors = []
    for datatype, array in KINDS.items():
        tensor = InferInput(f"in_{datatype}", list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=True)
        tensors.append(tensor)
    answer = await client.infer(InferRequest("kinds", tensors), headers=METADATA)
    for output in answer.outputs:
        assert output.as_numpy().tobytes() == KINDS[output.datatype].tobytes()
    text = InferInput("text", [2, 2], "BYTES")
    text.set_data_from_numpy(WORDS, binary_data=True)
    answer = await client.infer(InferRequest("words", [text]), headers=METADATA)
    (twice,) = [output for output in answer.outputs if output.name == "twice"]
    assert [word.decode() for word in twice.as_numpy().ravel()] == TWICE.ravel().tolist()


async def test_refusals(client: InferenceGRPCClient) -> None:
    """An absent model and an absent key are errors with their status."""
    tensor = InferInput("X", [1, 64], "FP32")
    tensor.set_data_from_numpy(SERVICE.rows[:1], binary_data=True)
    for status, model, metadata in (
        (grpc.StatusCode.NOT_FOUND, "absent", METADATA),
        (grpc.StatusCode.UNAUTHENTICATED, "digits", ()),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.infer(InferRequest(model, [tensor]), headers=metadata)
        assert caught.value.code() is status
