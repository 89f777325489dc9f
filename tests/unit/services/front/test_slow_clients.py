# SPDX-License-Identifier: Apache-2.0
"""Clients that take their time, on requests answered at the connection and on those that go through the application."""

from __future__ import annotations

import asyncio
import contextlib
import json

import numpy as np
import psutil
import pytest

from core.tensors import ANY
from services.edge.bodies import BodyBudget
from services.edge.limits import EdgeLimits
from services.front.arrival import Arrival
from services.front.heads import parse
from tests.unit.services.front.test_protocol import ROWS, Client, Served, body_of, request, served

METADATA = b"GET /v2/models/fake HTTP/1.1\r\nHost: x\r\n\r\n"
HOT, THROUGH_THE_APPLICATION = "/v2/models/fake/infer", "/v2/models/fake/infer?x"
KEEP_ALIVE_S = 0.05


async def large_answer(service: Served, path: str, line: str = "X: y") -> Client:
    """A connection on which an answer of 32 MB was asked for."""
    rows = np.ones((1, 8 * 2**20), dtype=np.float32)
    tensor = {
        "name": "x",
        "shape": list(rows.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": rows.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    client = await service.connect()
    client.writer.write(
        request(head + rows.tobytes(), f"Inference-Header-Content-Length: {len(head)}", line, path=path)
    )
    await client.writer.drain()
    return client


async def test_a_body_may_take_longer_than_the_pause_between_requests() -> None:
    """What was asked before on the connection does not matter."""
    async with served(EdgeLimits(body_idle_s=5), keep_alive_s=KEEP_ALIVE_S) as service:
        client = await service.connect()
        client.writer.write(METADATA)
        await client.answer()
        whole = request(body_of())
        client.writer.write(whole[:-8])
        for cut in range(8, 0, -1):
            await asyncio.sleep(KEEP_ALIVE_S / 2)
            client.writer.write(whole[-cut:][:1])
        assert await client.outputs() == (2 * ROWS + 1).ravel().tolist()


@pytest.mark.parametrize("path", [HOT, THROUGH_THE_APPLICATION])
async def test_an_answer_may_be_read_slowly(path: str) -> None:
    """Longer than a connection may be silent, as long as it is read at all."""
    async with served(EdgeLimits(), keep_alive_s=KEEP_ALIVE_S, width=ANY) as service:
        client = await large_answer(service, path)
        size = int(
            (await client.reader.readuntil(b"\r\n\r\n")).lower().split(b"content-length: ")[-1].split(b"\r\n")[0]
        )
        while size > 0:
            await asyncio.sleep(KEEP_ALIVE_S / 5)
            size -= len(await client.reader.readexactly(min(size, 2**20)))


@pytest.mark.parametrize("path", [HOT, THROUGH_THE_APPLICATION])
@pytest.mark.parametrize(("line", "more"), [("X: y", b""), ("X: y", METADATA), ("Connection: close", b"")])
async def test_a_client_that_does_not_read_its_answer_is_cut_off(path: str, line: str, more: bytes) -> None:
    """The answer is not kept for it, whatever it sends behind."""
    async with served(EdgeLimits(), keep_alive_s=KEEP_ALIVE_S, width=ANY) as service:
        client = await large_answer(service, path, line)
        client.writer.write(more)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            while "ok" not in service.codes():
                await asyncio.sleep(0.01)
        await asyncio.sleep(4 * KEEP_ALIVE_S)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.reader.readexactly(32 * 2**20)


async def test_a_head_behind_another_request_is_bounded() -> None:
    """As a first one is: in bytes and in time."""
    async with served(keep_alive_s=0) as service:
        endless, slow = await service.connect(), await service.connect()
        endless.writer.write(METADATA + b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100_000)
        slow.writer.write(METADATA + b"GET / HTTP/1.1\r\n")
        await slow.answer()
        assert await slow.ended()
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while await endless.reader.read(2**16):
                    pass


async def test_a_body_that_goes_on_behind_its_answer_ends_the_connection() -> None:
    """A refused request does not hold its connection by sending on."""
    async with served(keep_alive_s=0) as service:
        client = await service.connect()
        client.writer.write(b"POST /v2/nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        assert (await client.answer())[0] == 404
        assert await client.ended()


async def test_memory_of_a_body_that_does_not_come_is_not_used() -> None:
    """Whoever announces much and sends little costs little."""
    head = parse(request(b"", path=HOT).replace(b"Content-Length: 0", b"Content-Length: 60000000"))
    assert head is not None
    process = psutil.Process()
    before = process.memory_info().rss
    arrivals = [Arrival(head, BodyBudget(2**30), EdgeLimits()) for _ in range(20)]
    for arrival in arrivals:
        arrival.received(1)
    assert process.memory_info().rss - before < 100_000_000
