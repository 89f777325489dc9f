# SPDX-License-Identifier: Apache-2.0
"""``tritonclient`` over HTTP against the service on a socket: shared memory, compression, repository, statistics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, serialize_byte_tensor, shared_memory

from core.tensors import Array, DType
from runners.testing import FakeRunner
from services.shared_memory.regions import RegionLimits, Regions
from services.testing import listening, parts
from services.testing_contract import EchoRunner

ROWS = np.arange(8_000, dtype=np.float32).reshape(-1, 2)

Session = Callable[[triton.InferenceServerClient], Any]


async def talk(runner: FakeRunner, session: Session) -> Any:
    """Runs a session with the synchronous client in a thread, against a service in this one."""
    regions = Regions(RegionLimits(enabled=True))
    async with listening(parts(runner, regions=regions, control=True)) as port:
        return await asyncio.to_thread(_talk, port, session)


def _talk(port: int, session: Session) -> Any:
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        return session(client)


@contextmanager
def region(size: int) -> Iterator[tuple[str, Any]]:
    """A shared memory object of this test and its handle."""
    key = f"/furoshiki-test-{os.getpid()}"
    handle = shared_memory.create_shared_memory_region("region", key, size)
    try:
        yield key, handle
    finally:
        shared_memory.destroy_shared_memory_region(handle)


def rows(array: Array = ROWS, *, binary: bool = True) -> triton.InferInput:
    found = triton.InferInput("x", list(array.shape), "FP32")
    found.set_data_from_numpy(array, binary_data=binary)
    return found


async def test_tensors_in_shared_memory() -> None:
    """Input and output travel through one region; status tells of it, and unregistered it is unknown."""

    def session(client: triton.InferenceServerClient) -> None:
        client.unregister_system_shared_memory()
        client.unregister_cuda_shared_memory()
        with region(2 * ROWS.nbytes) as (key, handle):
            shared_memory.set_shared_memory_region(handle, [ROWS])
            client.register_system_shared_memory("mine", key, 2 * ROWS.nbytes)
            given, wanted = triton.InferInput("x", list(ROWS.shape), "FP32"), triton.InferRequestedOutput("y")
            given.set_shared_memory("mine", ROWS.nbytes)
            wanted.set_shared_memory("mine", ROWS.nbytes, offset=ROWS.nbytes)
            answer = client.infer("fake", [given], outputs=[wanted]).get_output("y")
            found = shared_memory.get_contents_as_numpy(handle, np.float32, answer["shape"], offset=ROWS.nbytes)
            np.testing.assert_array_equal(found, 2 * ROWS + 1)
            status = {"name": "mine", "key": key, "offset": 0, "byte_size": 2 * ROWS.nbytes}
            assert client.get_system_shared_memory_status() == [status]
            del found
            client.unregister_system_shared_memory("mine")
            with pytest.raises(InferenceServerException, match="no shared memory region 'mine'"):
                client.infer("fake", [given], outputs=[wanted])

    await talk(FakeRunner(width=2), session)


async def test_words_in_shared_memory() -> None:
    """BYTES tensors lie in a region as the client puts them there."""
    words = np.array([[b"a", b"bc"], [b"", b"\xff"]], dtype=object)

    def session(client: triton.InferenceServerClient) -> None:
        with region(1000) as (key, handle):
            client.register_system_shared_memory("mine", key, 1000)
            data = serialize_byte_tensor(words)
            shared_memory.set_shared_memory_region(handle, [data])
            given, wanted = triton.InferInput("x", [2, 2], "BYTES"), triton.InferRequestedOutput("y")
            given.set_shared_memory("mine", len(data.item()))
            wanted.set_shared_memory("mine", 500, offset=500)
            client.infer("fake", [given], outputs=[wanted])
            found = shared_memory.get_contents_as_numpy(handle, np.object_, [2, 2], offset=500)
            assert found.tolist() == words.tolist()

    await talk(EchoRunner(DType.BYTES), session)


async def test_a_region_truncated_under_the_service() -> None:
    """A client that takes its memory away gets an error, and the service answers on."""

    def session(client: triton.InferenceServerClient) -> None:
        with region(ROWS.nbytes) as (key, _):
            client.register_system_shared_memory("mine", key, ROWS.nbytes)
            os.truncate(f"/dev/shm{key}", 100)
            given = triton.InferInput("x", list(ROWS.shape), "FP32")
            given.set_shared_memory("mine", ROWS.nbytes)
            with pytest.raises(InferenceServerException, match="was truncated"):
                client.infer("fake", [given])
            assert client.is_server_live()

    await talk(FakeRunner(width=2), session)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compression(coding: str, binary: bool) -> None:
    """Requests and results compressed by the client's own options."""

    def session(client: triton.InferenceServerClient) -> None:
        result = client.infer(
            "fake",
            [rows(binary=binary)],
            outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        np.testing.assert_array_equal(result.as_numpy("y"), 2 * ROWS + 1)

    await talk(FakeRunner(width=2), session)


async def test_repository_and_statistics() -> None:
    """Index, unload, load and statistics as the client reads them."""

    def session(client: triton.InferenceServerClient) -> None:
        client.infer("fake", [rows()], priority=1, timeout=30_000_000)
        (model,) = client.get_inference_statistics("fake")["model_stats"]
        assert (model["inference_count"], model["inference_stats"]["success"]["count"]) == (len(ROWS), 1)
        assert client.get_inference_statistics()["model_stats"][0]["name"] == "fake"
        client.unload_model("fake")
        assert client.get_model_repository_index()[0]["state"] == "UNAVAILABLE"
        assert not client.is_model_ready("fake")
        client.load_model("fake")
        assert client.get_model_repository_index() == [{"name": "fake", "version": "3", "state": "READY", "reason": ""}]
        assert client.is_model_ready("fake", "3")
        assert client.get_model_metadata("fake")["versions"] == ["3"]

    runner = FakeRunner(width=2)
    runner.close = lambda: None  # type: ignore[method-assign] # the same runner is loaded again
    await talk(runner, session)


@pytest.mark.parametrize("datatype", [DType.FP16, DType.BF16, DType.BOOL, DType.UINT64])
async def test_binary_datatypes(datatype: DType) -> None:
    """Datatypes JSON cannot carry, and some it can, in binary form."""
    array = np.array([[1, 0], [0, 1]]).astype(datatype.numpy)

    def session(client: triton.InferenceServerClient) -> None:
        given = triton.InferInput("x", [2, 2], datatype.oip)
        given.set_data_from_numpy(array)
        np.testing.assert_array_equal(client.infer("fake", [given]).as_numpy("y"), array)

    await talk(EchoRunner(datatype), session)
