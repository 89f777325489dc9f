# SPDX-License-Identifier: Apache-2.0
"""``tritonclient.grpc.aio``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.e2e.services.clients.suites.facts import TWICE, WORDS, busy_for, region_key, service

SERVICE = service()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[triton.InferenceServerClient]:
    async with triton.InferenceServerClient(SERVICE.grpc) as made:
        yield made


def rows(count: int) -> triton.InferInput:
    """The first rows of digits."""
    tensor = triton.InferInput("X", [count, 64], "FP32")
    tensor.set_data_from_numpy(SERVICE.rows[:count])
    return tensor


async def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    """Server and model answer for themselves."""
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert (await client.get_server_metadata()).name == "furoshiki"
    assert await client.is_model_ready("digits", headers=SERVICE.metadata)
    assert not await client.is_model_ready("absent", headers=SERVICE.metadata)
    metadata = await client.get_model_metadata("digits", headers=SERVICE.metadata)
    assert list(metadata.inputs[0].shape) == [-1, 64]


async def test_concurrent_requests(client: triton.InferenceServerClient) -> None:
    """Fifty at a time each get their own id and values."""

    async def ask(number: int) -> None:
        count = 1 + number % 8
        result = await client.infer("digits", [rows(count)], request_id=str(number), headers=SERVICE.metadata)
        assert result.get_response().id == str(number)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:count])

    await asyncio.gather(*map(ask, range(50)))


async def test_texts(client: triton.InferenceServerClient) -> None:
    """BYTES."""
    tensor = triton.InferInput("text", list(WORDS.shape), "BYTES")
    tensor.set_data_from_numpy(WORDS)
    result = await client.infer("words", [tensor], headers=SERVICE.metadata)
    assert [text.decode() for text in result.as_numpy("twice").ravel()] == TWICE.ravel().tolist()


async def test_a_stream(client: triton.InferenceServerClient) -> None:
    """Requests and answers interleave; one that fails ends only itself."""

    async def asked() -> AsyncIterator[dict[str, Any]]:
        for n in range(20):
            yield {"model_name": "absent" if n == 9 else "digits", "inputs": [rows(1 + n % 8)], "request_id": str(n)}

    seen, errors = set(), []
    async for result, error in client.stream_infer(asked(), headers=SERVICE.metadata):
        if error is not None:
            errors.append(error)
            continue
        number = int(result.get_response().id)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[: 1 + number % 8])
        seen.add(number)
    assert seen == set(range(20)) - {9}
    (error,) = errors
    assert "absent" in str(error)


async def test_a_stream_that_is_given_up(client: triton.InferenceServerClient) -> None:
    """A client that cancels its stream leaves nothing behind that would hold up the next request."""
    waiting = asyncio.Event()

    async def asked() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": "digits", "inputs": [rows(1)], "request_id": "first"}
        await waiting.wait()

    stream = client.stream_infer(asked(), headers=SERVICE.metadata)
    async for result, error in stream:
        assert error is None
        assert result.get_response().id == "first"
        break
    stream.cancel()
    result = await client.infer("digits", [rows(1)], headers=SERVICE.metadata)
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:1])


async def test_cancelled_requests(client: triton.InferenceServerClient) -> None:
    """Half of the requests are cancelled by their tasks; the other half is answered."""

    async def ask(number: int) -> Any:
        return await client.infer("digits", [rows(1 + number % 8)], headers=SERVICE.metadata)

    tasks = [asyncio.create_task(ask(n)) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    for number in range(1, 20, 2):
        np.testing.assert_array_equal(results[number].as_numpy("label"), SERVICE.labels[: 1 + number % 8])


async def test_refusals(client: triton.InferenceServerClient) -> None:
    """An absent model, an absent key and a timeout that cannot be met."""
    long = busy_for(triton, 20, second=SERVICE.second)
    for status, named in (
        ("NOT_FOUND", {"model_name": "absent", "headers": SERVICE.metadata}),
        ("UNAUTHENTICATED", {"model_name": "digits"}),
        ("DEADLINE_EXCEEDED", {"model_name": "busy", "timeout": 200_000, "headers": SERVICE.metadata}),
    ):
        with pytest.raises(InferenceServerException) as caught:
            await client.infer(inputs=long if named["model_name"] == "busy" else [rows(8)], **named)
        assert caught.value.status() == f"StatusCode.{status}"


async def test_repository_statistics_and_memory(client: triton.InferenceServerClient) -> None:
    """The extensions work the same from asyncio."""
    headers = SERVICE.metadata
    await client.load_model("spare", headers=headers)
    index = (await client.get_model_repository_index(headers=headers)).models
    assert {entry.state for entry in index if entry.name == "spare"} == {"READY"}
    statistics = await client.get_inference_statistics("digits", headers=headers)
    assert statistics.model_stats[0].name == "digits"
    key = region_key(SERVICE.tenant)
    region = shm.create_shared_memory_region("g-aio", key, SERVICE.rows.nbytes)
    try:
        shm.set_shared_memory_region(region, [SERVICE.rows])
        await client.register_system_shared_memory("g-aio", key, SERVICE.rows.nbytes, headers=headers)
        tensor = triton.InferInput("X", [2, 64], "FP32")
        tensor.set_shared_memory("g-aio", 2 * 64 * 4, offset=64 * 4)
        result = await client.infer("digits", [tensor], headers=headers)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[1:3])
    finally:
        await client.unregister_system_shared_memory("g-aio", headers=headers)
        shm.destroy_shared_memory_region(region)
