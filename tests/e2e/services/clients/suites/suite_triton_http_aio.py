# SPDX-License-Identifier: Apache-2.0
"""``tritonclient.http.aio``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
import tritonclient.http.aio as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.e2e.services.clients.suites.facts import TWICE, WORDS, busy_for, region_key, service

SERVICE = service()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[triton.InferenceServerClient]:
    async with triton.InferenceServerClient(SERVICE.http) as made:
        yield made


def rows(count: int, *, binary: bool = True) -> triton.InferInput:
    """The first rows of digits."""
    tensor = triton.InferInput("X", [count, 64], "FP32")
    tensor.set_data_from_numpy(SERVICE.rows[:count], binary_data=binary)
    return tensor


async def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    """Server and model answer for themselves."""
    assert await client.is_server_live()
    assert await client.is_server_ready()
    assert (await client.get_server_metadata())["name"] == "furoshiki"
    assert await client.is_model_ready("digits", headers=SERVICE.headers)
    assert not await client.is_model_ready("absent", headers=SERVICE.headers)
    metadata = await client.get_model_metadata("digits", headers=SERVICE.headers)
    assert metadata["inputs"][0]["shape"] == [-1, 64]


@pytest.mark.parametrize("binary", [True, False])
async def test_concurrent_requests(client: triton.InferenceServerClient, binary: bool) -> None:
    """Fifty at a time each get their own id and values."""

    async def ask(number: int) -> None:
        count = 1 + number % 8
        wanted = [triton.InferRequestedOutput("label", binary_data=binary)]
        result = await client.infer(
            "digits",
            [rows(count, binary=binary)],
            outputs=wanted,
            request_id=str(number),
            headers=SERVICE.headers,
        )
        assert result.get_response()["id"] == str(number)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:count])

    await asyncio.gather(*map(ask, range(50)))


async def test_texts(client: triton.InferenceServerClient) -> None:
    """BYTES in binary."""
    tensor = triton.InferInput("text", list(WORDS.shape), "BYTES")
    tensor.set_data_from_numpy(WORDS)
    result = await client.infer("words", [tensor], headers=SERVICE.headers)
    assert [text.decode() for text in result.as_numpy("twice").ravel()] == TWICE.ravel().tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
async def test_compression(client: triton.InferenceServerClient, algorithm: str) -> None:
    """Compressed both ways."""
    result = await client.infer(
        "digits",
        [rows(8)],
        headers=SERVICE.headers,
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels)


async def test_refusals(client: triton.InferenceServerClient) -> None:
    """An absent model, an absent key and a timeout that cannot be met."""
    long = busy_for(triton, 20, second=SERVICE.second)
    for status, named in (
        ("404", {"model_name": "absent", "headers": SERVICE.headers}),
        ("401", {"model_name": "digits"}),
        ("504", {"model_name": "busy", "timeout": 200_000, "headers": SERVICE.headers}),
    ):
        with pytest.raises(InferenceServerException) as caught:
            await client.infer(inputs=long if named["model_name"] == "busy" else [rows(8)], **named)
        assert caught.value.status() == status


async def test_repository_statistics_and_memory(client: triton.InferenceServerClient) -> None:
    """The extensions work the same from asyncio."""
    headers = SERVICE.headers
    await client.load_model("spare", headers=headers)
    index = await client.get_model_repository_index(headers=headers)
    assert {"name": "spare", "state": "READY"}.items() <= next(e for e in index if e["name"] == "spare").items()
    statistics = await client.get_inference_statistics("digits", headers=headers)
    assert statistics["model_stats"][0]["name"] == "digits"
    key = region_key(SERVICE.tenant)
    region = shm.create_shared_memory_region("aio", key, SERVICE.rows.nbytes)
    try:
        shm.set_shared_memory_region(region, [SERVICE.rows])
        await client.register_system_shared_memory("aio", key, SERVICE.rows.nbytes, headers=SERVICE.headers)
        tensor = triton.InferInput("X", [2, 64], "FP32")
        tensor.set_shared_memory("aio", 2 * 64 * 4, offset=64 * 4)
        result = await client.infer("digits", [tensor], headers=SERVICE.headers)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[1:3])
    finally:
        await client.unregister_system_shared_memory("aio", headers=SERVICE.headers)
        shm.destroy_shared_memory_region(region)
