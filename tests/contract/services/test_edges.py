# SPDX-License-Identifier: Apache-2.0
"""One table of requests, answered alike by every protocol edge: same code, same status, nothing leaked."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from core.clock import SystemClock
from core.errors import AuthError, ErrorCode
from core.tensors import ANY, DType, Signature, TensorSpec
from runners.testing import POISON, FakeRunner
from services.edge.auth import Identified, RegistryAuth
from services.edge.context import Principal
from services.edge.limits import EdgeLimits
from services.testing import DIGEST, serving

ROWS = np.array([[1.5, 2], [3, -4]], dtype=np.float32)


class Keys:
    """A directory of two callers; a real one is the registry."""

    async def whoami(self, credential: str) -> Identified:
        tenants = {"key-acme": "acme", "key-rival": "rival"}
        if credential not in tenants:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
        return Identified(principal=Principal(tenant=tenants[credential], key_id=credential), expires_at=None)


class EdgeContract(ABC):
    """What every edge does with the same request. A subclass knows only how its protocol writes requests and errors."""

    protocol: str

    @abstractmethod
    def request(self, *, model: str = "fake", version: str | None = None, **inputs: Any) -> tuple[str, Any]:
        """Path and JSON body of an inference with nested-list inputs of datatype FP32."""

    @abstractmethod
    def outputs(self, body: Any) -> dict[str, Any]:
        """Outputs of an answer, nested."""

    @abstractmethod
    def error_code(self, response: httpx.Response) -> str:
        """The stable code of an error answer."""

    @pytest.fixture
    def runner(self) -> FakeRunner:
        return FakeRunner(width=2)

    @pytest_asyncio.fixture
    async def client(self, runner: FakeRunner) -> AsyncIterator[httpx.AsyncClient]:
        async with serving(runner, limits=EdgeLimits(body_bytes=4096, json_bytes=2048)) as client:
            yield client

    async def post(self, client: httpx.AsyncClient, **request: Any) -> httpx.Response:
        path, body = self.request(**request)
        return await client.post(path, json=body)

    async def test_result(self, client: httpx.AsyncClient) -> None:
        """A request gets what the model computes, row by row, and the verified digest."""
        response = await self.post(client, x=ROWS.tolist())
        assert response.status_code == 200, response.text
        assert self.outputs(response.json()) == {"y": (2 * ROWS + 1).tolist()}
        assert response.headers["x-furoshiki-model-digest"] == DIGEST

    async def test_request_id_is_echoed(self, client: httpx.AsyncClient) -> None:
        """A legal request id comes back; with an illegal one a fresh id is made."""
        path, body = self.request(x=ROWS.tolist())
        legal = await client.post(path, json=body, headers={"X-Request-ID": "trace-1:a.b_c"})
        illegal = await client.post(path, json=body, headers={"X-Request-ID": "a b\x7f"})
        assert legal.headers["x-request-id"] == "trace-1:a.b_c"
        assert len(illegal.headers["x-request-id"]) == 32

    @pytest.mark.parametrize(
        ("request_", "status", "code"),
        [
            ({"model": "other", "x": [[1, 2]]}, 404, ErrorCode.MODEL_NOT_FOUND),
            ({"version": "9", "x": [[1, 2]]}, 404, ErrorCode.MODEL_NOT_FOUND),
            ({"version": "abc", "x": [[1, 2]]}, 404, ErrorCode.MODEL_NOT_FOUND),
            ({"x": [[1, 2, 3]]}, 400, ErrorCode.TENSOR_SHAPE),
            ({"x": [1, 2]}, 400, ErrorCode.TENSOR_SHAPE),
            ({"x": []}, 400, ErrorCode.TENSOR_SHAPE),
            ({"x": [["1", "2"]]}, 400, ErrorCode.TENSOR_DATA),
            ({"x": [[True, False]]}, 400, ErrorCode.TENSOR_DATA),
            ({"x": [[None, 1]]}, 400, ErrorCode.TENSOR_DATA),
            ({"x": [[1, 2], [3]]}, 400, ErrorCode.TENSOR_DATA),
            ({"x": [[1e300, 2]]}, 400, ErrorCode.TENSOR_DATA),
            ({"z": [[1, 2]]}, 400, None),
            ({"x": [[1, 2]], "z": [[1, 2]]}, 400, ErrorCode.TENSOR_UNEXPECTED),
            ({}, 400, ErrorCode.TENSOR_MISSING),
            ({"x": [[POISON, 0]]}, 400, ErrorCode.TENSOR_REJECTED),
        ],
    )
    async def test_errors(
        self, client: httpx.AsyncClient, request_: dict[str, Any], status: int, code: ErrorCode | None
    ) -> None:
        """Each wrong request gets its status and stable code, and a message that is a sentence."""
        response = await self.post(client, **request_)
        assert response.status_code == status, response.text
        expected = {code} if code else {ErrorCode.TENSOR_MISSING, ErrorCode.TENSOR_UNEXPECTED}
        assert self.error_code(response) in expected
        assert "Traceback" not in response.text

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{}", b"NaN", b"[" * 2000, b'{"inputs":' * 150]
    )
    async def test_malformed_bodies(self, client: httpx.AsyncClient, body: bytes) -> None:
        """What is not a request at all, a depth bomb and bytes that are not UTF-8 included, gets 400 VALID_001."""
        path, _ = self.request(x=ROWS.tolist())
        response = await client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert (response.status_code, self.error_code(response)) == (400, ErrorCode.MALFORMED)

    async def test_nan_is_not_json(self, client: httpx.AsyncClient) -> None:
        """NaN cannot come in as JSON."""
        path, body = self.request(x=[[float("nan"), 1.0]])
        response = await client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert response.status_code == 400

    async def test_body_over_the_limit(self, client: httpx.AsyncClient) -> None:
        """A body over the limit gets 413, whether its length was declared or it came in chunks."""
        path, _ = self.request(x=ROWS.tolist())

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b" " * 1000

        headers = {"Content-Type": "application/json"}
        declared = await client.post(path, content=b" " * 5000, headers=headers)
        chunked = await client.post(path, content=chunks(), headers=headers)
        json_part = await client.post(path, content=b" " * 3000, headers=headers)
        for response in (declared, chunked, json_part):
            assert (response.status_code, self.error_code(response)) == (413, ErrorCode.TOO_LARGE)

    async def test_a_deep_tensor_is_refused(self, client: httpx.AsyncClient) -> None:
        """Data nested far deeper than its rank is bad data, not a stack overflow."""
        path, body = self.request(x=["HERE"])
        text = json.dumps(body).replace('["HERE"]', "[" * 900 + "]" * 900)
        response = await client.post(path, content=text, headers={"Content-Type": "application/json"})
        assert response.status_code == 400

    async def test_compressed_bodies_are_refused(self, client: httpx.AsyncClient) -> None:
        """A Content-Encoding this edge does not read gets 415, not garbage."""
        path, _ = self.request(x=ROWS.tolist())
        response = await client.post(path, content=b"x", headers={"Content-Encoding": "gzip"})
        assert (response.status_code, self.error_code(response)) == (415, ErrorCode.UNSUPPORTED_MEDIA_TYPE)

    async def test_unknown_route_and_method(self, client: httpx.AsyncClient) -> None:
        """Under the edge's prefix an unknown path is 404 and a wrong method 405, in the edge's own error form."""
        path, _ = self.request(x=ROWS.tolist())
        missing = await client.get(path + "/nothing")
        wrong = await client.get(path)
        assert (missing.status_code, self.error_code(missing)) == (404, ErrorCode.ROUTE_NOT_FOUND)
        assert (wrong.status_code, self.error_code(wrong)) == (405, ErrorCode.METHOD_NOT_ALLOWED)

    async def test_credentials(self, runner: FakeRunner) -> None:
        """No key 401, a wrong key 401, the owner's key 200, another tenant's key 404 as if nothing were there."""
        async with serving(runner, authenticator=RegistryAuth(Keys(), clock=SystemClock())) as client:
            path, body = self.request(x=ROWS.tolist())
            answers = {
                key: await client.post(path, json=body, headers={} if key is None else {"X-API-Key": key})
                for key in (None, "wrong", "key-acme", "key-rival")
            }
            bearer = await client.post(path, json=body, headers={"Authorization": "Bearer key-acme"})
        assert {key: answer.status_code for key, answer in answers.items()} == {
            None: 401,
            "wrong": 401,
            "key-acme": 200,
            "key-rival": 404,
        }
        assert bearer.status_code == 200
        assert self.error_code(answers[None]) == ErrorCode.AUTH_REQUIRED
        assert answers[None].headers["www-authenticate"] == "Bearer"
        assert answers["key-rival"].text.count("acme") == 0

    async def test_a_result_over_the_limit(self, runner: FakeRunner) -> None:
        """A result larger than the limit gets 413 and is not encoded; it names both sizes."""
        async with serving(runner, limits=EdgeLimits(output_bytes=15)) as client:
            small = await self.post(client, x=[[1, 2]])
            large = await self.post(client, x=ROWS.tolist())
        assert small.status_code == 200
        assert (large.status_code, self.error_code(large)) == (413, ErrorCode.TOO_LARGE)
        assert "has 16 bytes; the limit is 15" in large.text

    async def test_a_large_result_is_whole(self, runner: FakeRunner) -> None:
        """A result beyond a megabyte, which is encoded beside the event loop, is what the model computed."""
        rows = np.arange(300_000, dtype=np.float32).reshape(-1, 2)
        runner.run = lambda _inputs, _stop=None: {"y": rows}  # type: ignore[method-assign, assignment]
        async with serving(runner) as client:
            response = await self.post(client, x=[[1, 2]])
        np.testing.assert_array_equal(np.array(self.outputs(response.json())["y"]), rows)

    async def test_too_much_json_is_sent_elsewhere(self, client: httpx.AsyncClient) -> None:
        """The refusal of a JSON part that is too large says what to do instead."""
        path, body = self.request(x=[[0.5] * 700])
        response = await client.post(path, json=body)
        assert (response.status_code, self.error_code(response)) == (413, ErrorCode.TOO_LARGE)
        assert "send it in binary form" in response.text

    async def test_too_many_strings(self) -> None:
        """BYTES elements have a limit of their own, whatever the shape says; at the limit they are decoded."""
        runner = FakeRunner(width=ANY)
        spec = TensorSpec(name="x", dtype=DType.BYTES, shape=(ANY, ANY))
        runner.signature = Signature(inputs=(spec,), outputs=(replace(spec, name="y"),))
        runner.run = lambda inputs, _stop=None: {"y": inputs["x"]}  # type: ignore[method-assign, assignment]
        async with serving(runner, limits=EdgeLimits(bytes_elements=4)) as client:
            answers = [
                await client.post(path, content=json.dumps(body).replace("FP32", "BYTES"))
                for path, body in (
                    self.request(x=data) for data in ([["a", "b"]] * 2, [["a"] * 5], [["a", "b"]] * 3, [[""] * 2000])
                )
            ]
        assert self.outputs(answers[0].json()) == {"y": [["a", "b"]] * 2}
        for answer in answers[1:]:
            assert (answer.status_code, self.error_code(answer)) == (413, ErrorCode.TOO_LARGE)

    async def test_unexpected_exceptions_say_nothing(self, runner: FakeRunner) -> None:
        """An exception nobody foresaw becomes one fixed sentence with the request id."""

        class Broken:
            async def authenticate(self, headers: object) -> Principal:
                raise RuntimeError("secret detail")

        async with serving(runner, authenticator=Broken()) as client:
            response = await self.post(client, x=ROWS.tolist())
        assert (response.status_code, self.error_code(response)) == (500, ErrorCode.INTERNAL)
        assert "secret" not in response.text
        assert response.headers["x-request-id"]


class TestRestV2(EdgeContract):
    protocol = "rest_v2"

    def request(self, *, model: str = "fake", version: str | None = None, **inputs: Any) -> tuple[str, Any]:
        selector = f"/versions/{version}" if version else ""
        tensors = [
            {"name": name, "shape": list(_shape(data)), "datatype": "FP32", "data": data}
            for name, data in inputs.items()
        ]
        return f"/v2/models/{model}{selector}/infer", {"inputs": tensors}

    def outputs(self, body: Any) -> dict[str, Any]:
        return {
            tensor["name"]: np.array(tensor["data"]).reshape(tensor["shape"]).tolist() for tensor in body["outputs"]
        }

    def error_code(self, response: httpx.Response) -> str:
        assert set(response.json()) == {"error"}
        assert isinstance(response.json()["error"], str)
        return str(response.headers["x-furoshiki-error"])


class TestRestV1(EdgeContract):
    protocol = "rest_v1"

    def request(self, *, model: str = "fake", version: str | None = None, **inputs: Any) -> tuple[str, Any]:
        body: dict[str, Any] = {"model": model, "inputs": inputs}
        if version:
            body["version"] = version
        return "/v1/infer", body

    def outputs(self, body: Any) -> dict[str, Any]:
        assert set(body) == {"model", "version", "digest", "outputs", "request_id", "latency_ms"}
        return dict(body["outputs"])

    def error_code(self, response: httpx.Response) -> str:
        error = response.json()["error"]
        assert set(error) == {"code", "message", "retryable", "request_id", "details"}
        assert error["request_id"] == response.headers["x-request-id"]
        return str(error["code"])


def _shape(data: Any) -> tuple[int, ...]:
    """The shape a careful client would declare: that of the first element all the way down."""
    shape = []
    while isinstance(data, list):
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    return tuple(shape) if len(shape) > 1 or shape != [0] else (0, 2)
