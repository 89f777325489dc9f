# SPDX-License-Identifier: Apache-2.0
"""Connections as clients make them: whole, in pieces, ahead of the answer, slow, gone, and not speaking the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator

import numpy as np
import pytest

from core.tensors import ANY
from runners.testing import FakeRunner
from services.edge.limits import EdgeLimits
from services.testing import DIGEST, listening, parts

ROWS = np.array([[1.5, 2], [3, -4]], dtype=np.float32)
LIMITS = EdgeLimits(body_bytes=1_000_000, body_idle_s=0.05, bodies_bytes=1_500_000)


def body_of(rows: np.ndarray = ROWS) -> bytes:
    tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def request(body: bytes, *lines: str, path: str = "/v2/models/fake/infer", method: str = "POST") -> bytes:
    head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines, "", ""))
    return head.encode() + body


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return int(first.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def outputs(self) -> list[float]:
        status, _, body = await self.answer()
        assert status == 200, body
        data: list[float] = json.loads(body)["outputs"][0]["data"]
        return data

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read() == b""
        return True


class Served:
    """A listening service, its runner and its log."""

    def __init__(self, limits: EdgeLimits = LIMITS, width: int = 2) -> None:
        self.runner = FakeRunner(width=width)
        self.log = io.BytesIO()
        self.parts = parts(self.runner, limits=limits, log=self.log)
        self.port = 0

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    def codes(self) -> list[str]:
        self.parts.access_log.flush()
        return [json.loads(line)["code"] for line in self.log.getvalue().splitlines()]


@contextlib.asynccontextmanager
async def served(limits: EdgeLimits = LIMITS, *, keep_alive_s: float = 5, width: int = 2) -> AsyncIterator[Served]:
    service = Served(limits, width)
    async with listening(service.parts, keep_alive_s=keep_alive_s) as port:
        service.port = port
        yield service


async def test_a_request_is_answered_at_the_connection() -> None:
    """The result, the verified digest, the caller's request id and one log line; the application is not involved."""
    async with served() as service:
        client = await service.connect()
        client.writer.write(request(body_of(), "X-Request-ID: mine"))
        status, headers, body = await client.answer()
        assert status == 200
        assert json.loads(body)["outputs"][0]["data"] == (2 * ROWS + 1).ravel().tolist()
        assert (headers["x-request-id"], headers["x-furoshiki-model-digest"]) == ("mine", DIGEST)
        assert service.codes() == ["ok"]


async def test_bytes_may_come_in_any_pieces() -> None:
    """A request cut at any byte gives the same answer."""
    whole = request(body_of())
    async with served() as service:
        client = await service.connect()
        for cut in range(1, len(whole)):
            client.writer.write(whole[:cut])
            await asyncio.sleep(0)
            client.writer.write(whole[cut:])
            assert await client.outputs() == (2 * ROWS + 1).ravel().tolist()


async def test_requests_sent_ahead_are_answered_in_order() -> None:
    """Pipelined requests, of the front and of the application mixed, get their answers in the order they were sent."""
    async with served() as service:
        client = await service.connect()
        first, second = body_of(ROWS), body_of(ROWS + 1)
        metadata = b"GET /v2/models/fake HTTP/1.1\r\nHost: x\r\n\r\n"
        client.writer.write(request(first) + request(second) + metadata + request(first) + metadata)
        assert await client.outputs() == (2 * ROWS + 1).ravel().tolist()
        assert await client.outputs() == (2 * ROWS + 3).ravel().tolist()
        assert json.loads((await client.answer())[2])["name"] == "fake"
        assert await client.outputs() == (2 * ROWS + 1).ravel().tolist()
        assert json.loads((await client.answer())[2])["name"] == "fake"


async def test_other_requests_reach_the_application() -> None:
    """Chunked bodies, other routes and other paths are answered as ever, on the same connection."""
    body = body_of()
    chunked = (
        b"POST /v2/models/fake/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    )
    async with served() as service:
        client = await service.connect()
        client.writer.write(chunked)
        assert await client.outputs() == (2 * ROWS + 1).ravel().tolist()
        client.writer.write(b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 418")


async def test_trailers_are_not_headers() -> None:
    """What stands behind a body neither authenticates nor names its request."""
    body = body_of()
    chunked = b"POST /v2/models/fake/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with served() as service:
        client = await service.connect()
        client.writer.write(chunked + b"%x\r\n%b\r\n0\r\nX-Request-ID: trailing\r\n\r\n" % (len(body), body))
        status, headers, _ = await client.answer()
        assert (status, headers["x-request-id"] == "trailing") == (200, False)


async def test_offers_of_another_protocol_are_passed_over() -> None:
    """A client that would rather speak HTTP/2 is answered in HTTP/1.1, its body is read, and its connection goes on."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    async with served() as service:
        client = await service.connect()
        client.writer.write(request(body_of(), *offer) + request(body_of(ROWS + 1)))
        assert await client.outputs() == (2 * ROWS + 1).ravel().tolist()
        assert await client.outputs() == (2 * ROWS + 3).ravel().tolist()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"POST /v2/models/fake/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST /v2/models/fake/infer HTTP/1.1\r\nX: " + b"y" * 70_000, 431),
        (b"POST /v2/models/fake/infer HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (request(b"{}"), 400),
        (request(body_of(), path="/v2/models/other/infer"), 404),
        (request(b"x" * 2_000_000), 413),
    ],
)
async def test_bad_requests_are_refused(raw: bytes, status: int) -> None:
    """Each with its status; a connection whose next request cannot be told from the rest of this one is closed."""
    async with served() as service:
        client = await service.connect()
        client.writer.write(raw)
        assert (await client.reader.readuntil(b"\r\n")).split()[1] == b"%d" % status
        other = await service.connect()
        other.writer.write(request(body_of()))
        assert await other.outputs() == (2 * ROWS + 1).ravel().tolist()


async def test_a_client_that_hangs_up_is_not_computed_for() -> None:
    """Its request leaves the queue, and the log says 499."""
    async with served() as service:
        service.runner.gate.clear()
        busy, gone = await service.connect(), await service.connect()
        busy.writer.write(request(body_of()))
        while not service.runner.batches:
            await asyncio.sleep(0.001)
        gone.writer.write(request(body_of()))
        await gone.writer.drain()
        gone.writer.close()
        async with asyncio.timeout(5):
            while "CANCEL_001" not in service.codes():
                await asyncio.sleep(0.001)
        service.runner.gate.set()
        assert await busy.outputs() == (2 * ROWS + 1).ravel().tolist()
        assert service.runner.batches == [2]


async def test_a_body_that_pauses_is_given_up() -> None:
    """Nothing of it within ``body_idle_s``: 504, and the connection ends; the memory it held is given back."""
    async with served() as service:
        client = await service.connect()
        client.writer.write(request(body_of())[:-5])
        status, headers, _ = await client.answer()
        assert (status, headers["connection"], headers["x-furoshiki-error"]) == (504, "close", "TIMEOUT_001")
        assert await client.ended()


async def test_bodies_under_way_are_bounded_together() -> None:
    """Beyond ``bodies_bytes`` of incomplete bodies a further one is refused, and told to come back."""
    limits = EdgeLimits(body_idle_s=5, bodies_bytes=1_000)
    async with served(limits) as service:
        first, second = await service.connect(), await service.connect()
        first.writer.write(request(b"x" * 900)[:-1])
        await asyncio.sleep(0.01)
        second.writer.write(request(b"x" * 900)[:-1])
        status, headers, _ = await second.answer()
        assert (status, headers["retry-after"]) == (429, "1")
        first.writer.write(b"x")
        assert (await first.answer())[0] == 400
        third = await service.connect()
        third.writer.write(request(b"x" * 900)[:-1])
        await asyncio.sleep(0.01)
        third.writer.write(b"x")
        assert (await third.answer())[0] == 400


async def test_a_connection_that_says_nothing_is_closed() -> None:
    """Between requests, or inside a head however slowly it comes, a connection has twice ``keep_alive_s`` at most."""
    async with served(keep_alive_s=0) as service:
        silent, slow = await service.connect(), await service.connect()
        slow.writer.write(b"POST /v2/models/fake/infer HTTP/1.1\r\nX: ")
        assert await silent.ended()
        assert await slow.ended()


async def test_a_stop_lets_an_answer_go_out() -> None:
    """A request under way when the server stops is answered, with ``connection: close``."""
    service = Served()
    async with listening(service.parts) as port:
        service.port = port
        service.runner.gate.clear()
        client = await service.connect()
        client.writer.write(request(body_of()))
        while not service.runner.batches:
            await asyncio.sleep(0.001)
        asyncio.get_running_loop().call_later(0.05, service.runner.gate.set)
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await client.ended()


async def test_large_bodies_and_results_are_whole() -> None:
    """Megabytes, received in many parts and encoded beside the loop, arrive unchanged."""
    rows = np.random.default_rng(1).normal(size=(1000, 400)).astype(np.float32)
    tensor = {"name": "x", "shape": [1000, 400], "datatype": "FP32", "parameters": {"binary_data_size": rows.nbytes}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    async with served(EdgeLimits(), width=ANY) as service:
        client = await service.connect()
        for _ in range(2):
            client.writer.write(request(head + rows.tobytes(), f"Inference-Header-Content-Length: {len(head)}"))
            status, headers, body = await client.answer()
            assert status == 200
            tail = body[int(headers["inference-header-content-length"]) :]
            assert np.array_equal(np.frombuffer(tail, dtype="<f4").reshape(rows.shape), 2 * rows + 1)
