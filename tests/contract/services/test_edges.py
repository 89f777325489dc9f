# SPDX-License-Identifier: Apache-2.0
"""The edges over HTTP, each held to the contract of all edges and to that of HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import prod
from typing import Any

import httpx
import numpy as np

from core.errors import ErrorCode
from core.tensors import Array, dtype_from_oip
from services.edge import binary_tensors
from services.inference.app import Parts
from services.testing import listening
from services.testing_contract import CannotAsk, DeclaringEdgeContract, Question, Tensor
from tests.contract.services.http_edges import HttpClient, HttpEdgeContract, JsonEdgeContract, binary_data

JSON = {"Content-Type": "application/json"}


class TestRestV2(JsonEdgeContract, DeclaringEdgeContract):
    """The Open Inference Protocol, tensors as JSON."""

    left_out = frozenset({"FP16", "BF16"})

    def write(self, question: Question) -> tuple[str, bytes, dict[str, str]]:
        message = _message(question)
        for tensor, fields in zip(question.inputs, message["inputs"], strict=True):
            fields["data"] = _json_data(tensor)
        return _path(question), json.dumps(message).encode(), dict(JSON)

    def read(self, response: httpx.Response) -> tuple[str, dict[str, Any]]:
        body = response.json()
        return body["model_version"], {
            tensor["name"]: _array(tensor["data"], tensor["datatype"]).reshape(tensor["shape"])
            for tensor in body["outputs"]
        }

    def error_code(self, response: httpx.Response) -> str:
        assert set(response.json()) == {"error"}
        assert isinstance(response.json()["error"], str)
        return str(response.headers["x-furoshiki-error"])


class TestRestV2Binary(HttpEdgeContract, DeclaringEdgeContract):
    """The Open Inference Protocol, tensors behind the JSON in both directions."""

    left_out = frozenset({"no datatype"})

    def write(self, question: Question) -> tuple[str, bytes, dict[str, str]]:
        message = _message(question)
        tails = [binary_data(tensor) for tensor in question.inputs]
        for fields, tail in zip(message["inputs"], tails, strict=True):
            fields["parameters"] = {"binary_data_size": len(tail)}
        message.setdefault("parameters", {})["binary_data_output"] = True
        head = json.dumps(message).encode()
        return _path(question), b"".join((head, *tails)), {"Inference-Header-Content-Length": str(len(head))}

    def read(self, response: httpx.Response) -> tuple[str, dict[str, Any]]:
        size = int(response.headers["inference-header-content-length"])
        head, tail = json.loads(response.content[:size]), response.content[size:]
        assert response.headers["content-type"] == "application/octet-stream"
        outputs, start = {}, 0
        for tensor in head["outputs"]:
            dtype, length = dtype_from_oip(tensor["datatype"]), tensor["parameters"]["binary_data_size"]
            outputs[tensor["name"]] = binary_tensors.decode(
                tail, start, length, dtype=dtype, shape=tensor["shape"], count=prod(tensor["shape"]), name="y"
            )
            start += length
        assert start == len(tail)
        return head["model_version"], outputs

    error_code = TestRestV2.error_code

    # What stands in these bodies is compressed or cut as JSON; in binary form the length header would contradict it.
    async def test_malformed_bodies(self) -> None:  # type: ignore[override]
        """A body shorter than its JSON part says is 400 VALID_008."""
        path, body, headers = self.write(Question())
        async with self.raw() as client:
            response = await client.post(path, content=body[:10], headers=headers)
        assert self.outcome(response) == (400, ErrorCode.LENGTH_MISMATCH)


class TestRestV2OverTheFront(TestRestV2):
    """The same over the protocol that a worker's connections have."""

    @asynccontextmanager
    async def connect(self, made: Parts) -> AsyncIterator[HttpClient]:
        async with listening(made) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield HttpClient(client, self)


class TestRestV1(JsonEdgeContract):
    """The short form; the model's signature says what a tensor is."""

    left_out = frozenset({"FP16", "BF16", "an input twice"})

    def write(self, question: Question) -> tuple[str, bytes, dict[str, str]]:
        inputs = {}
        for tensor in question.inputs:
            if tensor.name in inputs:
                raise CannotAsk
            inputs[tensor.name] = _json_data(tensor)
        body: dict[str, Any] = {"model": question.model, "inputs": inputs}
        if question.timeout_us is not None:
            body["timeout_ms"] = question.timeout_us / 1000
        optional = {"version": question.version, "priority": question.priority, "outputs": question.outputs}
        body |= {name: value for name, value in optional.items() if value is not None}
        return "/v1/infer", json.dumps(body).encode(), dict(JSON)

    def read(self, response: httpx.Response) -> tuple[str, dict[str, Any]]:
        body = response.json()
        assert set(body) == {"model", "version", "digest", "outputs", "request_id", "latency_ms"}
        return body["version"], {name: np.array(_encoded(data), dtype=object) for name, data in body["outputs"].items()}

    def error_code(self, response: httpx.Response) -> str:
        error = response.json()["error"]
        assert set(error) == {"code", "message", "retryable", "request_id", "details"}
        assert error["request_id"] == response.headers["x-request-id"]
        return str(error["code"])


def _path(question: Question) -> str:
    selector = f"/versions/{question.version}" if question.version else ""
    return f"/v2/models/{question.model}{selector}/infer"


def _message(question: Question) -> dict[str, Any]:
    """The JSON part without its tensors' data."""
    message: dict[str, Any] = {
        "inputs": [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.declared_shape}
            for tensor in question.inputs
        ]
    }
    if question.outputs is not None:
        message["outputs"] = [{"name": name} for name in question.outputs]
    scheduled = {"timeout": question.timeout_us, "priority": question.priority}
    parameters = {name: value for name, value in scheduled.items() if value is not None}
    return message | ({"parameters": parameters} if parameters else {})


def _json_data(tensor: Tensor) -> Any:
    if tensor.datatype in ("FP16", "BF16"):
        raise CannotAsk
    return _decoded(tensor.data)


def _decoded(data: Any) -> Any:
    """Data with text for bytes."""
    if isinstance(data, tuple):
        return [_decoded(part) for part in data]
    return data.decode() if isinstance(data, bytes) else data


def _encoded(data: Any) -> Any:
    """Data with bytes for text."""
    if isinstance(data, list):
        return [_encoded(part) for part in data]
    return data.encode() if isinstance(data, str) else data


def _array(data: Any, datatype: str) -> Array:
    return np.array(_encoded(data), dtype=dtype_from_oip(datatype).numpy)
