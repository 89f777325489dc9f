# SPDX-License-Identifier: Apache-2.0
"""``tritonclient.grpc``, blocking, with callbacks and with streams."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import Queue
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.e2e.services.clients.suites.facts import KINDS, TWICE, WORDS, busy_for, region_key, service

SERVICE = service()


@pytest.fixture
def client() -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(SERVICE.grpc) as made:
        yield made


def rows(count: int) -> triton.InferInput:
    """The first rows of digits."""
    tensor = triton.InferInput("X", [count, 64], "FP32")
    tensor.set_data_from_numpy(SERVICE.rows[:count])
    return tensor


def refused(status: str, call: Any, *arguments: Any, **named: Any) -> str:
    """Makes a call that must fail with a status; what the service said."""
    with pytest.raises(InferenceServerException) as caught:
        call(*arguments, **named)
    assert caught.value.status() == f"StatusCode.{status}"
    return str(caught.value.message())


def test_health(client: triton.InferenceServerClient) -> None:
    """Live and ready, without a key."""
    assert client.is_server_live()
    assert client.is_server_ready()


def test_server_metadata(client: triton.InferenceServerClient) -> None:
    """The server names itself and its extensions."""
    metadata = client.get_server_metadata(as_json=True)
    assert metadata["name"] == "furoshiki"
    assert {"model_repository", "statistics", "schedule_policy", "system_shared_memory"} <= set(metadata["extensions"])


def test_model_ready(client: triton.InferenceServerClient) -> None:
    """A model and each of its versions is ready; others are not."""
    assert client.is_model_ready("digits", headers=SERVICE.metadata)
    assert client.is_model_ready("digits", "2", headers=SERVICE.metadata)
    assert not client.is_model_ready("digits", "99", headers=SERVICE.metadata)
    assert not client.is_model_ready("absent", headers=SERVICE.metadata)


def test_model_metadata(client: triton.InferenceServerClient) -> None:
    """Tensors with name, datatype and shape."""
    metadata = client.get_model_metadata("digits", headers=SERVICE.metadata)
    (tensor,) = metadata.inputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("X", "FP32", [-1, 64])
    assert {tensor.name for tensor in metadata.outputs} == {"label", "probabilities"}


def test_inference(client: triton.InferenceServerClient) -> None:
    """Values, id, version, and only the outputs asked for."""
    wanted = [triton.InferRequestedOutput("label")]
    result = client.infer(
        "digits", [rows(5)], model_version="1", outputs=wanted, request_id="g-7", headers=SERVICE.metadata
    )
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:5])
    assert result.as_numpy("probabilities") is None
    answer = result.get_response()
    assert (answer.id, answer.model_name, answer.model_version) == ("g-7", "digits", "1")


def test_every_output_without_a_choice(client: triton.InferenceServerClient) -> None:
    """All outputs of the model."""
    result = client.infer("digits", [rows(2)], headers=SERVICE.metadata)
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:2])
    np.testing.assert_allclose(result.as_numpy("probabilities").sum(axis=1), 1, rtol=1e-5)


def test_every_datatype(client: triton.InferenceServerClient) -> None:
    """The extremes of each fixed-size datatype come back bit by bit."""
    tensors = []
    for datatype, array in KINDS.items():
        tensor = triton.InferInput(f"in_{datatype}", list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    result = client.infer("kinds", tensors, headers=SERVICE.metadata)
    for datatype, array in KINDS.items():
        got = result.as_numpy(f"out_{datatype}")
        assert got.dtype == array.dtype
        assert got.tobytes() == array.tobytes()


def test_texts(client: triton.InferenceServerClient) -> None:
    """BYTES, empty and beyond ASCII."""
    tensor = triton.InferInput("text", list(WORDS.shape), "BYTES")
    tensor.set_data_from_numpy(WORDS)
    result = client.infer("words", [tensor], headers=SERVICE.metadata)
    for name, expected in (("same", WORDS), ("twice", TWICE)):
        assert [text.decode() for text in result.as_numpy(name).ravel()] == expected.ravel().tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compression(client: triton.InferenceServerClient, algorithm: str) -> None:
    """Compressed messages are read."""
    result = client.infer("digits", [rows(8)], headers=SERVICE.metadata, compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels)


def test_priority_and_timeouts(client: triton.InferenceServerClient) -> None:
    """A timeout of the request and one of the client each end it when they are over, and the service goes on."""
    client.infer("busy", busy_for(triton, 0, second=SERVICE.second), priority=1, headers=SERVICE.metadata)
    long = busy_for(triton, 20, second=SERVICE.second)
    for limit in ({"timeout": 300_000}, {"client_timeout": 0.3}):
        started = time.perf_counter()
        refused("DEADLINE_EXCEEDED", client.infer, "busy", long, headers=SERVICE.metadata, **limit)
        assert 0.25 < time.perf_counter() - started < 5
    result = client.infer("busy", busy_for(triton, 0, second=SERVICE.second), headers=SERVICE.metadata)
    assert result.as_numpy("y").tolist() == [[2, 4]]


def test_a_cancelled_request(client: triton.InferenceServerClient) -> None:
    """A request that is cancelled calls back as cancelled, and its execution holds up nobody."""
    answers: Queue[tuple[Any, Any]] = Queue()
    long = busy_for(triton, 30, second=SERVICE.second)
    running = client.async_infer(
        "busy", long, lambda result, error: answers.put((result, error)), headers=SERVICE.metadata
    )
    time.sleep(0.3)
    running.cancel()
    result, error = answers.get(timeout=10)
    assert result is None
    assert error.status() == "StatusCode.CANCELLED"
    started = time.perf_counter()
    result = client.infer("busy", busy_for(triton, 0, second=SERVICE.second), headers=SERVICE.metadata)
    assert result.as_numpy("y").tolist() == [[2, 4]]
    assert time.perf_counter() - started < 10


def test_callbacks(client: triton.InferenceServerClient) -> None:
    """Forty requests in flight each call back with their own id and values."""
    answers: Queue[tuple[Any, Any]] = Queue()
    for n in range(40):
        client.async_infer(
            "digits",
            [rows(1 + n % 8)],
            lambda result, error: answers.put((result, error)),
            request_id=str(n),
            headers=SERVICE.metadata,
        )
    seen = set()
    for _ in range(40):
        result, error = answers.get(timeout=30)
        assert error is None
        number = int(result.get_response().id)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[: 1 + number % 8])
        seen.add(number)
    assert seen == set(range(40))


def test_a_stream(client: triton.InferenceServerClient) -> None:
    """Twenty requests and one that fails over one stream: every answer comes, and the failure ends only itself."""
    answers: Queue[tuple[Any, Any]] = Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=SERVICE.metadata)
    for n in range(20):
        client.async_stream_infer("digits", [rows(1 + n % 8)], request_id=str(n))
        if n == 9:
            client.async_stream_infer("absent", [rows(1)], request_id="lost")
    seen, errors = set(), []
    for _ in range(21):
        result, error = answers.get(timeout=30)
        if error is not None:
            errors.append(error)
            continue
        number = int(result.get_response().id)
        np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[: 1 + number % 8])
        seen.add(number)
    client.stop_stream()
    assert seen == set(range(20))
    (error,) = errors
    assert isinstance(error, InferenceServerException)
    assert "absent" in str(error)


def test_a_stream_that_is_cancelled(client: triton.InferenceServerClient) -> None:
    """After a cancelled stream the same client goes on."""
    answers: Queue[tuple[Any, Any]] = Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=SERVICE.metadata)
    client.async_stream_infer("digits", [rows(1)])
    answers.get(timeout=30)
    client.stop_stream(cancel_requests=True)
    result = client.infer("digits", [rows(1)], headers=SERVICE.metadata)
    np.testing.assert_array_equal(result.as_numpy("label"), SERVICE.labels[:1])


def test_refusals(client: triton.InferenceServerClient) -> None:
    """Each wrong request gets its status and a sentence."""
    wide = triton.InferInput("X", [1, 65], "FP32")
    wide.set_data_from_numpy(np.zeros((1, 65), dtype=np.float32))
    assert "65" in refused("INVALID_ARGUMENT", client.infer, "digits", [wide], headers=SERVICE.metadata)
    refused("NOT_FOUND", client.infer, "absent", [rows(1)], headers=SERVICE.metadata)
    refused("UNAUTHENTICATED", client.infer, "digits", [rows(1)])
    refused("NOT_FOUND", client.infer, "digits", [rows(1)], headers={"x-api-key": SERVICE.other_key})


def test_repository(client: triton.InferenceServerClient) -> None:
    """A model is listed, unloaded and loaded again; the index tells its state each time."""

    def states() -> set[str]:
        index = client.get_model_repository_index(headers=SERVICE.metadata).models
        return {entry.state for entry in index if entry.name == "spare"}

    client.load_model("spare", headers=SERVICE.metadata)
    assert states() == {"READY"}
    client.unload_model("spare", headers=SERVICE.metadata)
    assert states() == {"UNAVAILABLE"}
    client.load_model("spare", headers=SERVICE.metadata)
    assert states() == {"READY"}
    refused("NOT_FOUND", client.load_model, "absent", headers=SERVICE.metadata)


def test_statistics(client: triton.InferenceServerClient) -> None:
    """Rows of a version are counted."""

    def counted() -> int:
        (one,) = client.get_inference_statistics("digits", "2", headers=SERVICE.metadata).model_stats
        return int(one.inference_count)

    client.infer("digits", [rows(1)], model_version="2", headers=SERVICE.metadata)
    before = counted()
    client.infer("digits", [rows(3)], model_version="2", headers=SERVICE.metadata)
    assert counted() == before + 3


def test_shared_memory(client: triton.InferenceServerClient) -> None:
    """Inputs and outputs lie in shared memory; regions are listed and forgotten."""
    keys = [region_key(SERVICE.tenant), region_key(SERVICE.tenant)]
    given = shm.create_shared_memory_region("given", keys[0], SERVICE.rows.nbytes)
    taken = shm.create_shared_memory_region("taken", keys[1], 8 * 8)
    try:
        shm.set_shared_memory_region(given, [SERVICE.rows])
        client.register_system_shared_memory("g-given", keys[0], SERVICE.rows.nbytes, headers=SERVICE.metadata)
        client.register_system_shared_memory("g-taken", keys[1], 8 * 8, headers=SERVICE.metadata)
        regions = client.get_system_shared_memory_status(headers=SERVICE.metadata).regions
        assert {"g-given", "g-taken"} <= set(regions)
        tensor = triton.InferInput("X", [8, 64], "FP32")
        tensor.set_shared_memory("g-given", SERVICE.rows.nbytes)
        wanted = triton.InferRequestedOutput("label")
        wanted.set_shared_memory("g-taken", 8 * 8)
        client.infer("digits", [tensor], outputs=[wanted], headers=SERVICE.metadata)
        np.testing.assert_array_equal(shm.get_contents_as_numpy(taken, np.int64, [8]), SERVICE.labels)
    finally:
        client.unregister_system_shared_memory("g-given", headers=SERVICE.metadata)
        client.unregister_system_shared_memory("g-taken", headers=SERVICE.metadata)
        shm.destroy_shared_memory_region(given)
        shm.destroy_shared_memory_region(taken)
    refused("INVALID_ARGUMENT", client.infer, "digits", [tensor], headers=SERVICE.metadata)
