# SPDX-License-Identifier: Apache-2.0
"""``tritonclient.http``, blocking."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.e2e.services.clients.suites.facts import KINDS, TWICE, WORDS, busy_for, region_key, service

SERVICE = service()


@pytest.fixture
def client() -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(SERVICE.http, concurrency=8) as made:
        yield made


def rows(count: int, *, binary: bool = True) -> triton.InferInput:
    """The first rows of digits."""
    tensor = triton.InferInput("X", [count, 64], "FP32")
    tensor.set_data_from_numpy(SERVICE.rows[:count], binary_data=binary)
    return tensor


def refused(status: str, call: Any, *arguments: Any, **named: Any) -> str:
    """Makes a call that must fail with a status; what the service said."""
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **named)
    assert caught.value.status() == status
    assert caught.value.message()
    return str(caught.value.message())


def test_health(client: triton.InferenceServerClient) -> None:
    """Live and ready, without a key."""
    assert client.is_server_live()
    assert client.is_server_ready()


def test_server_metadata(client: triton.InferenceServerClient) -> None:
    """The server names itself and every extension that is used below."""
    metadata = client.get_server_metadata()
    assert metadata["name"] == "furoshiki"
    wanted = {"binary_tensor_data", "model_repository", "statistics", "schedule_policy", "system_shared_memory"}
    assert wanted <= set(metadata["extensions"])


def test_model_ready(client: triton.InferenceServerClient) -> None:
    """A model and each of its versions is ready; others are not, and nothing is for another tenant."""
    headers = SERVICE.headers
    assert client.is_model_ready("digits", headers=headers)
    assert client.is_model_ready("digits", "1", headers=headers)
    assert not client.is_model_ready("digits", "99", headers=headers)
    assert not client.is_model_ready("absent", headers=headers)
    assert not client.is_model_ready("digits", headers={"X-API-Key": SERVICE.other_key})


def test_model_metadata(client: triton.InferenceServerClient) -> None:
    """Tensors with name, datatype and shape."""
    metadata = client.get_model_metadata("digits", headers=SERVICE.headers)
    assert metadata["name"] == "digits"
    assert metadata["inputs"] == [{"name": "X", "datatype": "FP32", "shape": [-1, 64]}]
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["outputs"]} == {
        "label": "INT64",
        "probabilities": "FP32",
    }
    assert client.get_model_metadata("digits", "1", headers=SERVICE.headers)["versions"] == ["1"]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_requested_outputs(client: triton.InferenceServerClient, binary_in: bool, binary_out: bool) -> None:
    """Binary and JSON both ways; what was not asked for does not come."""
    wanted = [triton.InferRequestedOutput("label", binary_data=binary_out)]
    result = client.infer(
        "digits", [rows(5, binary=binary_in)], outputs=wanted, request_id="r-7", headers=SERVICE.headers
    )
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:5])
    assert result.as_numpy("probabilities") is None
    assert result.get_response()["id"] == "r-7"
    assert ("data" in result.get_output("label")) != binary_out


def test_mixed_outputs_and_none(client: triton.InferenceServerClient) -> None:
    """One output binary beside one in JSON; without a choice every output comes, in binary."""
    wanted = [
        triton.InferRequestedOutput("label", binary_data=False),
        triton.InferRequestedOutput("probabilities", binary_data=True),
    ]
    for outputs in (wanted, None):
        result = client.infer("digits", [rows(2)], outputs=outputs, headers=SERVICE.headers)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:2])
        np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), 1, rtol=1e-5)


def test_versions(client: triton.InferenceServerClient) -> None:
    """A version can be named; the answer tells which one it was."""
    for version in ("1", "2"):
        answer = client.infer("digits", [rows(1)], model_version=version, headers=SERVICE.headers).get_response()
        assert (answer["model_name"], answer["model_version"]) == ("digits", version)


def test_every_datatype(client: triton.InferenceServerClient) -> None:
    """The extremes of each fixed-size datatype come back bit by bit."""
    tensors = []
    for datatype, array in KINDS.items():
        tensor = triton.InferInput(f"in_{datatype}", list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    result = client.infer("kinds", tensors, headers=SERVICE.headers)
    for datatype, array in KINDS.items():
        got = result.as_numpy(f"out_{datatype}")
        assert got.dtype == array.dtype
        assert got.tobytes() == array.tobytes()


@pytest.mark.parametrize("binary", [True, False])
def test_texts(client: triton.InferenceServerClient, binary: bool) -> None:
    """BYTES travel in binary and in JSON, empty and beyond ASCII."""
    tensor = triton.InferInput("text", list(WORDS.shape), "BYTES")
    tensor.set_data_from_numpy(WORDS, binary_data=binary)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("same", "twice")]
    result = client.infer("words", [tensor], outputs=wanted, headers=SERVICE.headers)
    for name, expected in (("same", WORDS), ("twice", TWICE)):
        got = [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy(name).ravel()]
        assert got == expected.ravel().tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(client: triton.InferenceServerClient, algorithm: str) -> None:
    """Compressed bodies are read, and answers compressed on request."""
    result = client.infer(
        "digits",
        [rows(8)],
        headers=SERVICE.headers,
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels)


def test_priority_and_timeout(client: triton.InferenceServerClient) -> None:
    """A priority and a timeout that can be met are accepted; one that cannot is a 504 when it is over."""
    result = client.infer("digits", [rows(1)], priority=1, timeout=10_000_000, headers=SERVICE.headers)
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:1])
    client.infer("busy", busy_for(triton, 0, second=SERVICE.second), headers=SERVICE.headers)  # loaded
    long = busy_for(triton, 20, second=SERVICE.second)
    started = time.perf_counter()
    refused("504", client.infer, "busy", long, timeout=300_000, headers=SERVICE.headers)
    assert 0.25 < time.perf_counter() - started < 5


def test_asynchronous_requests(client: triton.InferenceServerClient) -> None:
    """Forty requests in flight each get their own id and values."""
    pending = [
        client.async_infer("digits", [rows(1 + n % 8)], request_id=str(n), headers=SERVICE.headers) for n in range(40)
    ]
    for n, request in enumerate(pending):
        result = request.get_result()
        assert result.get_response()["id"] == str(n)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[: 1 + n % 8])


def test_threads() -> None:
    """Eight threads, each with a client of its own."""

    def ask(count: int) -> bool:
        with triton.InferenceServerClient(SERVICE.http) as client:
            result = client.infer("digits", [rows(count)], headers=SERVICE.headers)
            return bool((result.as_numpy("label") == SERVICE.labels[:count]).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, [1 + n % 8 for n in range(32)]))


def test_refusals(client: triton.InferenceServerClient) -> None:
    """Each wrong request gets its status and a sentence."""
    wide = triton.InferInput("X", [1, 65], "FP32")
    wide.set_data_from_numpy(np.zeros((1, 65), dtype=np.float32))
    double = triton.InferInput("X", [1, 64], "FP64")
    double.set_data_from_numpy(np.zeros((1, 64)))
    headers = SERVICE.headers
    assert "65" in refused("400", client.infer, "digits", [wide], headers=headers)
    assert "FP64" in refused("400", client.infer, "digits", [double], headers=headers)
    refused("404", client.infer, "absent", [rows(1)], headers=SERVICE.headers)
    refused("404", client.infer, "digits", [rows(1)], model_version="99", headers=SERVICE.headers)
    refused("401", client.infer, "digits", [rows(1)])
    refused("404", client.infer, "digits", [rows(1)], headers={"X-API-Key": SERVICE.other_key})


def test_repository(client: triton.InferenceServerClient) -> None:
    """A model is listed, unloaded and loaded again; the index tells its state each time."""

    def states() -> set[str]:
        index = client.get_model_repository_index(headers=SERVICE.headers)
        return {entry["state"] for entry in index if entry["name"] == "spare"}

    client.load_model("spare", headers=SERVICE.headers)
    assert states() == {"READY"}
    client.unload_model("spare", headers=SERVICE.headers)
    assert states() == {"UNAVAILABLE"}
    client.load_model("spare", headers=SERVICE.headers)
    assert states() == {"READY"}
    result = client.infer("spare", [rows(1)], headers=SERVICE.headers)
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:1])
    refused("404", client.load_model, "absent", headers=SERVICE.headers)
    assert client.get_model_repository_index(headers={"X-API-Key": SERVICE.other_key}) == []


def test_statistics(client: triton.InferenceServerClient) -> None:
    """Rows and successes of a version are counted."""

    def counted() -> tuple[int, int]:
        (one,) = client.get_inference_statistics("digits", "1", headers=SERVICE.headers)["model_stats"]
        assert (one["name"], one["version"]) == ("digits", "1")
        return one["inference_count"], one["inference_stats"]["success"]["count"]

    client.infer("digits", [rows(1)], model_version="1", headers=SERVICE.headers)
    before = counted()
    client.infer("digits", [rows(5)], model_version="1", headers=SERVICE.headers)
    assert counted() == (before[0] + 5, before[1] + 1)
    everything = client.get_inference_statistics(headers=SERVICE.headers)["model_stats"]
    assert "digits" in {one["name"] for one in everything}


def test_shared_memory(client: triton.InferenceServerClient) -> None:
    """Inputs and outputs lie in shared memory; regions are listed, bounded and forgotten."""
    source, target = SERVICE.rows[:3], 3 * 8
    keys = [region_key(SERVICE.tenant), region_key(SERVICE.tenant)]
    given = shm.create_shared_memory_region("given", keys[0], source.nbytes)
    taken = shm.create_shared_memory_region("taken", keys[1], target)
    try:
        shm.set_shared_memory_region(given, [source])
        client.register_system_shared_memory("given", keys[0], source.nbytes, headers=SERVICE.headers)
        client.register_system_shared_memory("taken", keys[1], target, headers=SERVICE.headers)
        status = client.get_system_shared_memory_status(headers=SERVICE.headers)
        assert {region["name"] for region in status} >= {"given", "taken"}
        tensor = triton.InferInput("X", [3, 64], "FP32")
        tensor.set_shared_memory("given", source.nbytes)
        wanted = triton.InferRequestedOutput("label")
        wanted.set_shared_memory("taken", target)
        client.infer("digits", [tensor], outputs=[wanted], headers=SERVICE.headers)
        np.testing.assert_array_equal(shm.get_contents_as_numpy(taken, np.int64, [3]), SERVICE.labels[:3])
        tensor.set_shared_memory("given", source.nbytes, offset=4)
        refused("400", client.infer, "digits", [tensor], headers=SERVICE.headers)
    finally:
        client.unregister_system_shared_memory(headers=SERVICE.headers)
        shm.destroy_shared_memory_region(given)
        shm.destroy_shared_memory_region(taken)
    assert client.get_system_shared_memory_status(headers=SERVICE.headers) == []
    refused("400", client.infer, "digits", [tensor], headers=SERVICE.headers)
