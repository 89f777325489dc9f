# SPDX-License-Identifier: Apache-2.0
"""The short form in MessagePack and Protobuf keeps the contract of all edges, in every way a tensor can be written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import prod
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from core.errors import ErrorCode
from core.tensors import Array, dtype_from_oip
from runners.testing import FakeRunner
from services.edge import binary_tensors
from services.edge.auth import OpenAuth
from services.edge.features import DEFAULT_FEATURES
from services.rest_v1.furoshiki_v1_pb2 import Error, InferRequest, InferResponse
from services.testing import TENANT, client_of, parts
from services.testing_contract import DATA, CannotAsk, DeclaringEdgeContract, Question, Tensor
from tests.contract.services import test_edges
from tests.contract.services.http_edges import HttpEdgeContract, binary_data

JSON_FORM = test_edges.TestRestV1()


def fields(question: Question) -> dict[str, Any]:
    """What stands beside the inputs."""
    if len({tensor.name for tensor in question.inputs}) < len(question.inputs):
        raise CannotAsk
    timeout = None if question.timeout_us is None else question.timeout_us / 1000
    optional = {
        "version": question.version,
        "priority": question.priority,
        "outputs": question.outputs,
        "timeout_ms": timeout,
    }
    return {"model": question.model} | {name: value for name, value in optional.items() if value is not None}


def from_raw(datatype: str, shape: Any, data: bytes) -> Array:
    return binary_tensors.decode(
        data, 0, len(data), dtype=dtype_from_oip(datatype), shape=shape, count=prod(shape), name="y"
    )


class TestMessagePackLists(HttpEdgeContract):
    """MessagePack, tensors as nested lists."""

    left_out = frozenset({"FP16", "BF16", "an input twice"})

    def write(self, question: Question) -> tuple[str, bytes, dict[str, str]]:
        message = fields(question)
        if any(tensor.datatype in ("FP16", "BF16") for tensor in question.inputs):
            raise CannotAsk
        message["inputs"] = {tensor.name: tensor.data for tensor in question.inputs}
        return "/v1/infer", msgspec.msgpack.encode(message), {"Content-Type": "application/msgpack"}

    def read(self, response: httpx.Response) -> tuple[str, dict[str, Any]]:
        assert response.headers["content-type"] == "application/msgpack"
        body = msgspec.msgpack.decode(response.content)
        assert set(body) == {"model", "version", "digest", "outputs", "request_id", "latency_ms"}
        return body["version"], {name: self.array(data) for name, data in body["outputs"].items()}

    def array(self, data: Any) -> Array:
        assert isinstance(data, list)
        return np.array(data, dtype=object)

    def error_code(self, response: httpx.Response) -> str:
        return JSON_FORM.error_code(response)


class TestMessagePackRaw(TestMessagePackLists, DeclaringEdgeContract):
    """MessagePack, tensors in binary form, errors in MessagePack too."""

    left_out = frozenset({"no datatype", "an input twice"})

    def write(self, question: Question) -> tuple[str, bytes, dict[str, str]]:
        message = fields(question)
        message["inputs"] = {
            tensor.name: {"shape": tensor.declared_shape, "datatype": tensor.datatype, "data": binary_data(tensor)}
            for tensor in question.inputs
        }
        headers = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
        return "/v1/infer", msgspec.msgpack.encode(message), headers

    def array(self, data: Any) -> Array:
        return from_raw(data["datatype"], data["shape"], data["data"])

    def error_code(self, response: httpx.Response) -> str:
        if response.request.headers["accept"] == "*/*":
            return JSON_FORM.error_code(response)
        assert response.headers["content-type"] == "application/msgpack"
        error = msgspec.msgpack.decode(response.content)["error"]
        assert set(error) == {"code", "message", "retryable", "request_id", "details"}
        return str(error["code"])


class TestProtobufRaw(HttpEdgeContract, DeclaringEdgeContract):
    """Protobuf, tensors in ``raw``, errors in Protobuf too."""

    left_out = frozenset({"no datatype", "an input twice"})

    def write(self, question: Question) -> tuple[str, bytes, dict[str, str]]:
        message = InferRequest(**fields(question))
        for tensor in question.inputs:
            described = message.inputs[tensor.name]
            described.datatype = tensor.datatype
            described.shape.extend(tensor.declared_shape)
            self.fill(described, tensor)
        headers = {"Content-Type": "application/x-protobuf", "Accept": "application/x-protobuf"}
        return "/v1/infer", message.SerializeToString(), headers

    def fill(self, described: Any, tensor: Tensor) -> None:
        described.raw = binary_data(tensor)

    def read(self, response: httpx.Response) -> tuple[str, dict[str, Any]]:
        assert response.headers["content-type"] == "application/x-protobuf"
        body = InferResponse.FromString(response.content)
        assert body.request_id == response.headers["x-request-id"]
        return body.version, {name: self.array(tensor) for name, tensor in body.outputs.items()}

    def array(self, tensor: Any) -> Array:
        return from_raw(tensor.datatype, tuple(tensor.shape), tensor.raw)

    def error_code(self, response: httpx.Response) -> str:
        if response.request.headers["accept"] == "*/*":
            return JSON_FORM.error_code(response)
        assert response.headers["content-type"] == "application/x-protobuf"
        return Error.FromString(response.content).code


class TestProtobufContents(TestProtobufRaw):
    """Protobuf, tensors in the contents field of their datatype."""

    left_out = frozenset({"no datatype", "an input twice", "FP16", "BF16"})

    def fill(self, described: Any, tensor: Tensor) -> None:
        known = tensor.datatype in DATA
        field = dtype_from_oip(tensor.datatype).grpc_field if known else None
        if field is None:
            raise CannotAsk
        getattr(described, field).extend(tensor.flat)

    def array(self, tensor: Any) -> Array:
        assert not tensor.raw
        dtype = dtype_from_oip(tensor.datatype)
        assert dtype.grpc_field is not None
        return np.array(list(getattr(tensor, dtype.grpc_field)), dtype=dtype.numpy).reshape(tuple(tensor.shape))


@asynccontextmanager
async def client(without: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A client of a tenant that has every feature but one."""
    tenant = OpenAuth(TENANT, features=DEFAULT_FEATURES - {without})
    async with client_of(parts(FakeRunner(width=2), authenticator=tenant)) as found:
        yield found


FORMS = {
    "application/json": JSON_FORM,
    "application/msgpack": TestMessagePackLists(),
    "application/x-msgpack": TestMessagePackRaw(),
    "application/x-protobuf": TestProtobufRaw(),
    "application/protobuf": TestProtobufContents(),
}


@pytest.mark.parametrize("accept", FORMS)
@pytest.mark.parametrize("content_type", FORMS)
async def test_every_form_answers_every_other(content_type: str, accept: str) -> None:
    """What was asked in one form may be answered in any."""
    path, body, _ = FORMS[content_type].write(Question())
    async with client() as http:
        response = await http.post(path, content=body, headers={"Content-Type": content_type, "Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, accept)
    refused = {"Content-Type": content_type, "Accept": "text/html"}
    async with client() as http:
        response = await http.post(path, content=body, headers=refused)
    assert (response.status_code, JSON_FORM.error_code(response)) == (406, ErrorCode.NOT_ACCEPTABLE)


@pytest.mark.parametrize(
    ("content_type", "accept", "without"),
    [
        ("application/msgpack", "application/json", "v1.msgpack"),
        ("application/json", "application/msgpack", "v1.msgpack"),
        ("application/x-protobuf", "application/json", "v1.protobuf"),
        ("application/json", "application/protobuf", "v1.protobuf"),
    ],
)
async def test_a_form_that_is_switched_off(content_type: str, accept: str, without: str) -> None:
    """A tenant without the feature is refused with AUTH_003, in either direction; JSON needs none."""
    path, body, _ = FORMS[content_type].write(Question())
    async with client(without) as http:
        response = await http.post(path, content=body, headers={"Content-Type": content_type, "Accept": accept})
        _, plain, _ = JSON_FORM.write(Question())
        allowed = await http.post(path, content=plain, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.headers["x-furoshiki-error"]) == (403, ErrorCode.AUTH_FORBIDDEN)
    assert without.encode() in response.content
    assert allowed.status_code == 200


async def test_another_content_type_is_refused() -> None:
    """What no codec reads is 415; the sentence says what is read."""
    async with client() as http:
        response = await http.post("/v1/infer", content=b"x", headers={"Content-Type": "text/plain"})
    assert (response.status_code, JSON_FORM.error_code(response)) == (415, ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    assert "application/x-protobuf" in response.text


async def test_errors_before_the_edge_keep_to_accept() -> None:
    """A refused method and an unknown route are told in the one form that is accepted."""
    async with client() as http:
        headers = {"Accept": "application/x-protobuf"}
        wrong, missing = await http.get("/v1/infer", headers=headers), await http.post("/v1/other", headers=headers)
    assert Error.FromString(wrong.content).code == ErrorCode.METHOD_NOT_ALLOWED
    assert wrong.headers["allow"] == "POST"
    assert Error.FromString(missing.content).code == ErrorCode.ROUTE_NOT_FOUND
