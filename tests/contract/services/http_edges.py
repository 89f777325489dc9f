# SPDX-License-Identifier: Apache-2.0
"""What HTTP adds to the contract of all edges: statuses, methods, media types, bodies."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest

from core.errors import ErrorCode, TensorError
from core.tensors import Array, DType, dtype_from_oip
from runners.interface import StopSignal
from runners.testing import FakeRunner
from services.edge import binary_tensors
from services.edge.limits import EdgeLimits
from services.edge.status import http_status
from services.inference.app import Parts
from services.testing import client_of, parts
from services.testing_contract import (
    OK,
    ROWS,
    Answer,
    CannotAsk,
    EchoRunner,
    EdgeContract,
    Question,
    Tensor,
)


class HttpClient:
    """Asks over HTTP, and holds every answer to the one table of statuses."""

    def __init__(self, client: httpx.AsyncClient, edge: HttpEdgeContract) -> None:
        self._client = client
        self._edge = edge

    async def ask(self, question: Question) -> Answer:
        path, body, headers = self._edge.write(question)
        named = {"X-API-Key": question.credential, "X-Request-ID": question.request_id}
        headers |= {name: value for name, value in named.items() if value is not None}
        response = await self._client.post(path, content=body, headers=headers)
        return self.read(response)

    def read(self, response: httpx.Response) -> Answer:
        facts = {
            "request_id": response.headers["x-request-id"],
            "digest": response.headers.get("x-furoshiki-model-digest", ""),
        }
        if response.status_code == 200:
            version, outputs = self._edge.read(response)
            told = {name: response.headers[name] for name in ("deprecation", "sunset") if name in response.headers}
            return Answer(code=OK, version=version, outputs=outputs, told=told, **facts)
        code = ErrorCode(self._edge.error_code(response))
        assert response.status_code == http_status(code)
        assert response.headers["x-furoshiki-error"] == code
        assert ("www-authenticate" in response.headers) == (response.status_code == 401)
        return Answer(code=code, text=f"{response.headers} {response.text}", **facts)


class HttpEdgeContract(EdgeContract):
    """The contract for an edge over HTTP."""

    @abstractmethod
    def write(self, question: Question) -> tuple[str, bytes, dict[str, str]]:
        """Path, body and headers of a request."""

    @abstractmethod
    def read(self, response: httpx.Response) -> tuple[str, dict[str, Any]]:
        """Version and outputs of an answer."""

    @abstractmethod
    def error_code(self, response: httpx.Response) -> str:
        """The stable code of an error answer, whose form is checked."""

    @asynccontextmanager
    async def connect(self, made: Parts) -> AsyncIterator[HttpClient]:
        async with client_of(made) as client:
            yield HttpClient(client, self)

    @asynccontextmanager
    async def raw(self, **limits: Any) -> AsyncIterator[httpx.AsyncClient]:
        async with client_of(parts(FakeRunner(width=2), limits=EdgeLimits(**limits))) as client:
            yield client

    def outcome(self, response: httpx.Response) -> tuple[int, str]:
        return response.status_code, OK if response.status_code == 200 else self.error_code(response)

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe{}", b"NaN", b"[" * 2000, b'{"inputs":' * 150, b"\0" * 100],
    )
    async def test_malformed_bodies(self, body: bytes) -> None:
        """What is not a request at all, a depth bomb and bytes that are not UTF-8 included, gets 400 VALID_001."""
        path, _, headers = self.write(Question())
        async with self.raw() as client:
            response = await client.post(path, content=body, headers=headers)
        assert self.outcome(response) == (400, ErrorCode.MALFORMED)

    async def test_body_over_the_limit(self) -> None:
        """A body over the limit gets 413, whether its length was declared or it came in chunks."""
        path, _, headers = self.write(Question())

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b" " * 1000

        async with self.raw(body_bytes=4096) as client:
            declared = await client.post(path, content=b" " * 5000, headers=headers)
            chunked = await client.post(path, content=chunks(), headers=headers)
        assert [self.outcome(response) for response in (declared, chunked)] == [(413, ErrorCode.TOO_LARGE)] * 2

    async def test_a_chunked_body_is_a_body(self) -> None:
        """A body that comes byte by byte, without a declared length, is answered like any other."""
        path, body, headers = self.write(Question())

        async def chunks() -> AsyncIterator[bytes]:
            for byte in body:
                yield bytes([byte])

        async with self.raw() as client:
            response = await client.post(path, content=chunks(), headers=headers)
        assert self.read(response)[1]["y"].tolist() == (2 * np.array(ROWS) + 1).tolist()

    @pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "deflate", "identity", "members"])
    async def test_compressed_bodies(self, coding: str) -> None:
        """A body may be compressed in the ways HTTP names, and gzip may come in members."""
        path, body, headers = self.write(Question())
        data = {
            "deflate": zlib.compress(body),
            "identity": body,
            "members": gzip.compress(body[:10]) + gzip.compress(b"") + gzip.compress(body[10:]),
        }.get(coding, gzip.compress(body))
        headers["Content-Encoding"] = coding.replace("members", "gzip")
        async with self.raw() as client:
            response = await client.post(path, content=data, headers=headers)
        assert self.read(response)[1]["y"].tolist() == (2 * np.array(ROWS) + 1).tolist()

    @pytest.mark.parametrize(
        ("coding", "data", "outcome"),
        [
            ("gzip", b"", (400, ErrorCode.MALFORMED)),
            ("gzip", b"garbage", (400, ErrorCode.MALFORMED)),
            ("gzip", gzip.compress(b"x" * 999, mtime=0)[:-1], (400, ErrorCode.MALFORMED)),
            ("gzip", gzip.compress(b"x" * 999, mtime=0)[:20], (400, ErrorCode.MALFORMED)),
            ("gzip", gzip.compress(b"{}", mtime=0) + b"garbage", (400, ErrorCode.MALFORMED)),
            ("gzip", gzip.compress(b"", mtime=0) * 2000, (400, ErrorCode.MALFORMED)),
            ("deflate", gzip.compress(b"{}", mtime=0), (400, ErrorCode.MALFORMED)),
            ("deflate", zlib.compress(b"{}") + b"garbage", (400, ErrorCode.MALFORMED)),
            ("gzip", gzip.compress(b" " * 2**20, mtime=0), (413, ErrorCode.TOO_LARGE)),
            ("deflate", zlib.compress(b" " * 2**20), (413, ErrorCode.TOO_LARGE)),
            ("br", b"x", (415, ErrorCode.UNSUPPORTED_MEDIA_TYPE)),
            ("gzip, gzip", b"x", (415, ErrorCode.UNSUPPORTED_MEDIA_TYPE)),
        ],
    )
    async def test_compressed_bodies_that_are_refused(self, coding: str, data: bytes, outcome: tuple[int, str]) -> None:
        """Damage and what follows the end is 400, a bomb 413, and a coding nobody reads 415."""
        path, _, headers = self.write(Question())
        headers["Content-Encoding"] = coding
        async with self.raw(body_bytes=100_000) as client:
            response = await client.post(path, content=data, headers=headers)
        assert self.outcome(response) == outcome

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "identity", "br", "gzip;q=0, deflate;q=0.5", "*"])
    async def test_compressed_results(self, coding: str) -> None:
        """A large result is compressed if the client asks for a coding there is; a small one is not."""
        path, body, headers = self.write(Question(inputs=(Tensor(data=ROWS * 200),)))
        small_path, small_body, _ = self.write(Question())
        headers["Accept-Encoding"] = coding
        async with self.raw(compress_bytes=1000) as client:
            response = await client.post(path, content=body, headers=headers)
            small = await client.post(small_path, content=small_body, headers=headers)
        expected = {"gzip": "gzip", "deflate": "deflate", "gzip;q=0, deflate;q=0.5": "deflate"}.get(coding)
        assert response.headers.get("content-encoding") == expected
        assert "content-encoding" not in small.headers
        assert self.read(response)[1]["y"].tolist() == (2 * np.array(ROWS * 200) + 1).tolist()

    async def test_unknown_route_and_method(self) -> None:
        """Under the edge's prefix an unknown path is 404 and a wrong method 405, in the edge's own error form."""
        path, _, _ = self.write(Question())
        async with self.raw() as client:
            missing = await client.get(path + "/nothing")
            wrong = [await client.request(method, path) for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")]
        assert self.outcome(missing) == (404, ErrorCode.ROUTE_NOT_FOUND)
        assert {response.status_code for response in wrong} == {405}
        assert self.outcome(wrong[0]) == (405, ErrorCode.METHOD_NOT_ALLOWED)

    async def test_a_header_bomb(self) -> None:
        """Thousands of headers, and values nobody should send, neither break an answer nor come back in it."""
        path, body, headers = self.write(Question())
        bomb = {f"X-{n}": "y" * 50 for n in range(2_000)}
        longest = {"X-Request-ID": "r" * 100_000, "Accept-Encoding": "a," * 50_000, "Accept": "*/*"}
        async with self.raw() as client:
            response = await client.post(path, content=body, headers=headers | bomb | longest)
        assert response.status_code == 200
        assert len(str(response.headers)) < 1000

    async def test_a_client_that_gives_up(self) -> None:
        """A caller that cancels its request does not disturb the next."""
        runner = FakeRunner(width=2)
        runner.gate.clear()
        async with self.connect(parts(runner)) as client:
            task = asyncio.ensure_future(client.ask(Question()))
            while not runner.batches:
                await asyncio.sleep(0)
            task.cancel()
            runner.gate.set()
            assert (await client.ask(Question())).code == OK


class JsonEdgeContract(HttpEdgeContract):
    """What edges that speak JSON share."""

    async def test_too_much_json_is_sent_elsewhere(self) -> None:
        """The refusal of a JSON part that is too large says what to do instead."""
        path, body, headers = self.write(Question(inputs=(Tensor(data=((0.5,) * 700,)),)))
        async with self.raw(json_bytes=2048) as client:
            response = await client.post(path, content=body, headers=headers)
        assert self.outcome(response) == (413, ErrorCode.TOO_LARGE)
        assert "send it in binary form" in response.text

    @pytest.mark.parametrize(
        "data",
        [
            '[["1","2"]]',
            "[[true,false]]",
            "[[null,1]]",
            "[[1,2],[3]]",
            "[[1e300,2]]",
            "[" * 900 + "]" * 900,
            "{}",
            '"1,2"',
            "[[{}, 1]]",
        ],
    )
    async def test_data_that_is_no_such_data(self, data: str) -> None:
        """Texts, truth values, nulls, ragged rows, what overflows, and absurd nesting are not taken for numbers."""
        path, body, headers = self.write(Question(inputs=(Tensor(data="HERE", shape=(1, 2)),)))
        async with self.raw() as client:
            response = await client.post(path, content=body.replace(b'"HERE"', data.encode()), headers=headers)
        assert self.outcome(response) == (400, ErrorCode.TENSOR_DATA)

    async def test_nan_is_not_json(self) -> None:
        """NaN cannot come in as JSON."""
        path, body, headers = self.write(Question(inputs=(Tensor(data="HERE", shape=(1, 2)),)))
        async with self.raw() as client:
            response = await client.post(path, content=body.replace(b'"HERE"', b"[[NaN, 1.0]]"), headers=headers)
        assert response.status_code == 400

    async def test_half_floats_are_not_json(self) -> None:
        """FP16 as JSON is refused with the way out."""
        path, body, headers = self.write(Question())
        async with client_of(parts(EchoRunner(DType.FP16))) as client:
            response = await client.post(path, content=body.replace(b"FP32", b"FP16"), headers=headers)
        assert self.outcome(response) == (400, ErrorCode.TENSOR_DTYPE)
        assert "binary" in response.text

    async def test_a_result_that_is_not_text(self) -> None:
        """A BYTES result that is not UTF-8 cannot be JSON: the answer says so."""

        class Binary(EchoRunner):
            def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
                return {"y": np.full_like(inputs["x"], b"\xff")}

        async with self.connect(parts(Binary(DType.BYTES))) as client:
            answer = await client.ask(Question(inputs=(Tensor(datatype="BYTES", data=((b"a",),)),)))
        assert answer.code == ErrorCode.TENSOR_DATA


def binary_data(tensor: Tensor) -> bytes:
    """A tensor as its bytes."""
    try:
        dtype = dtype_from_oip(tensor.datatype)
    except TensorError:
        raise CannotAsk from None
    return binary_tensors.encode(np.array(tensor.data, dtype=dtype.numpy), dtype)
