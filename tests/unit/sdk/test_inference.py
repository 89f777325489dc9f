# SPDX-License-Identifier: Apache-2.0
"""Inference: numpy in, numpy out, over the binary or the JSON form of the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import httpx
import numpy as np
import pytest

from furoshiki import Client, InvalidRequest, NotFound, ServerFault
from furoshiki.tensors import Array
from furoshiki.testing import FakeService

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


def summed(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    total = inputs["X"].sum(axis=1)
    return {"sum": total, "label": np.array([f"row {int(value)}" for value in total], dtype=object)}


@pytest.fixture(autouse=True)
def model(service: FakeService) -> None:
    service.serve_model("digits", summed, inputs={"X": ("FP32", [-1, 4])})


@pytest.mark.parametrize("binary", [True, False])
def test_infer_gives_arrays_and_identity(either: Either, binary: bool) -> None:
    """Outputs are arrays of the model's datatypes; the result says what ran: model, version, verified digest, request id."""
    result = either(lambda client: client.infer("digits", {"X": ROWS}, binary=binary))
    assert result["sum"].tolist() == [6.0, 22.0, 38.0]
    assert result["sum"].dtype == np.float32
    assert result["label"].tolist() == [b"row 6", b"row 22", b"row 38"]
    assert (result.model, result.version) == ("digits", "1")
    assert result.digest.startswith("sha256:")
    assert result.request_id


def test_binary_is_the_default_and_framed(client: Client, service: FakeService) -> None:
    """Without options tensors travel as raw bytes behind a JSON head of the announced length."""
    client.infer("digits", {"X": ROWS})
    call = service.calls[-1]
    cut = int(call.headers["inference-header-content-length"])
    assert call.body[cut:] == ROWS.tobytes()
    assert "data" not in json.loads(call.body[:cut])["inputs"][0]


def test_version_timeout_and_outputs_are_sent(client: Client, service: FakeService) -> None:
    """Version goes into the path, the timeout into the protocol's microseconds, chosen outputs into the request."""
    result = client.infer("digits", {"X": ROWS}, version=7, outputs=["sum"], timeout=0.25)
    assert (result.version, list(result.outputs)) == ("7", ["sum"])
    head = json.loads(service.calls[-1].body[: int(service.calls[-1].headers["inference-header-content-length"])])
    assert head["parameters"]["timeout"] == 250_000


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"X": ROWS.astype(np.float64)}, "TENSOR_002"),
        ({"X": ROWS[0]}, "TENSOR_001"),
        ({}, "TENSOR_003"),
        ({"X": ROWS, "Y": ROWS}, "TENSOR_004"),
    ],
)
def test_wrong_tensors_are_refused_with_the_servers_code(either: Either, inputs: dict[str, Array], code: str) -> None:
    """Nothing is promoted, reshaped or dropped: what does not fit is refused."""
    with pytest.raises(InvalidRequest) as caught:
        either(lambda client: client.infer("digits", inputs))
    assert caught.value.code == code


def test_unknown_model_is_not_found(either: Either) -> None:
    """A model that is not served is not found."""
    with pytest.raises(NotFound, match="MODEL_001"):
        either(lambda client: client.infer("nope", {"X": ROWS}))


def test_inference_is_repeated_like_a_read(either: Either, service: FakeService) -> None:
    """An inference has no side effect, so a full queue is tried again."""
    service.fail_next(429, "QUEUE_001", retry_after=1)
    assert either(lambda client: client.infer("digits", {"X": ROWS}))["sum"].shape == (3,)


def test_another_service_can_be_asked(client: Client, service: FakeService) -> None:
    """A URL, such as a deployment's, replaces the client's inference service for one call."""
    assert client.infer("digits", {"X": ROWS}, url="http://elsewhere:1234").model == "digits"
    assert service.calls[-1].headers["host"] == "elsewhere:1234"


def test_metadata_describes_the_model(either: Either) -> None:
    """Metadata gives names, datatypes and shapes of the inputs."""
    described = either(lambda client: client.inference.metadata("digits"))
    tensor = described.inputs[0]
    assert (tensor.name, tensor.datatype, tensor.shape) == ("X", "FP32", (-1, 4))


def test_ready_is_an_answer_not_an_error(either: Either, service: FakeService) -> None:
    """Readiness is true, or false for a service that is up but not ready or not there at all."""
    assert either(lambda client: client.inference.ready()) is True
    service.inference.ready = False
    assert either(lambda client: client.inference.ready()) is False
    assert either(lambda client: client.inference.ready(url="http://127.0.0.1:9"), transport=None) is False


class Canned(httpx.BaseTransport):
    def __init__(self, body: bytes, **headers: str) -> None:
        self._response = httpx.Response(200, content=body, headers=headers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._response


def answer(**output: Any) -> bytes:
    tensor = {"name": "y", "datatype": "FP32", "shape": [2]} | output
    return json.dumps({"model_name": "m", "outputs": [tensor]}).encode()


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"no json", None),
        (answer(data=[1.0]), None),
        (answer(data=[1.0, 2.0]) + b"", "9999"),
        (answer(data=[1.0, 2.0]), "-1"),
        (answer(data=[1.0, 2.0]), "x"),
        (answer(shape=[-1], data=[1.0]), None),
        (answer(parameters={"binary_data_size": 8}), None),
        (answer(parameters={"binary_data_size": -8}), None),
        (answer(parameters={"binary_data_size": True}), None),
        (answer(datatype="NOPE", data=[1.0, 2.0]), None),
    ],
)
def test_result_that_contradicts_itself_is_refused(body: bytes, length: str | None) -> None:
    """A reply that is not what it declares is a fault of the server, never a wrong array."""
    headers = {} if length is None else {"inference-header-content-length": length}
    with pytest.raises(ServerFault, match=r"CLIENT_003.*no inference result"):
        Client(transport=Canned(body, **headers)).infer("m", {})


def test_bytes_after_the_last_output_are_refused() -> None:
    """A reply with more bytes than its outputs declare is refused."""
    head = answer(parameters={"binary_data_size": 8})
    canned = Canned(head + b"\x00" * 9, **{"inference-header-content-length": str(len(head))})
    with pytest.raises(ServerFault, match="1 bytes follow the last output"):
        Client(transport=canned).infer("m", {})


def test_null_in_a_json_result_is_nan() -> None:
    """What a JSON result writes as null is NaN."""
    result = Client(transport=Canned(answer(data=[1.0, None]))).infer("m", {}, binary=False)
    assert np.isnan(result["y"]).tolist() == [False, True]
