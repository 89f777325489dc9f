# SPDX-License-Identifier: Apache-2.0
"""Clients that go away, and bodies that come in pieces, through the whole application over hand-written ASGI."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import pytest_asyncio

from runners.cache import LoadedModel
from runners.handle import EmbeddedHandle
from runners.testing import FakeRunner
from services.edge.access_log import AccessLog
from services.edge.context import Principal
from services.edge.http import Exchange, Message, Scope, Shared
from services.edge.limits import EdgeLimits
from services.inference.app import InferenceApp
from services.rest_v2.routes import RestV2
from services.testing import TENANT, inner_app, parts

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}).encode()
SHORT = json.dumps({"model": "fake", "inputs": {"x": [[1, 2]]}}).encode()


@dataclass(eq=False)
class Connection:
    """One client's side of an exchange: what it sends, what it was sent, and when it hangs up."""

    messages: list[Message]
    path: str = "/v2/models/fake/infer"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def scope(self) -> Scope:
        return {"type": "http", "method": "POST", "path": self.path, "headers": self.headers}

    async def receive(self) -> Message:
        if self.messages:
            return self.messages.pop(0)
        await self.hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])


def whole(body: bytes) -> list[Message]:
    return [{"type": "http.request", "body": body}]


@dataclass
class Service:
    """The application around a runner that a test can hold."""

    app: InferenceApp
    runner: FakeRunner
    model: LoadedModel
    log: io.BytesIO
    access_log: AccessLog

    @property
    def rows_waiting(self) -> int:
        assert isinstance(self.model.handle, EmbeddedHandle)
        return self.model.handle._batcher.rows_waiting

    def call(self, connection: Connection) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.app(connection.scope, connection.receive, connection.send))

    @property
    def buffered(self) -> int:
        return self.app._shared.bodies.taken

    def codes(self) -> list[tuple[str, int]]:
        self.access_log.flush()
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [(line["code"], line["status"]) for line in lines]


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    runner, log = FakeRunner(width=2), io.BytesIO()
    made = parts(runner, limits=EdgeLimits(body_bytes=1000, bodies_bytes=1200), log=log)
    (model,) = made.plane._catalog.loaded(Principal(tenant=TENANT, key_id="k"))
    yield Service(InferenceApp(inner_app, made), runner, model, log, made.access_log)
    runner.gate.set()
    await made.plane.close()


async def waits_for(condition: Callable[[], object]) -> None:
    """Lets the loop run until ``condition()`` holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("path", "body"), [("/v2/models/fake/infer", BODY), ("/v1/infer", SHORT)], ids=["rest_v2", "rest_v1"]
)
async def test_a_hang_up_leaves_the_queue(service: Service, path: str, body: bytes) -> None:
    """A client that goes away while its request waits is taken out of the queue and never computed; nothing is sent."""
    service.runner.gate.clear()
    first = Connection(whole(body), path)
    answered = service.call(first)
    await waits_for(lambda: service.runner.batches)
    second = Connection(whole(body), path)
    gone = service.call(second)
    await waits_for(lambda: service.rows_waiting == 1)
    second.hung_up.set()
    async with asyncio.timeout(5):
        await gone
    assert service.rows_waiting == 0
    service.runner.gate.set()
    await answered
    assert (first.status, second.sent, service.runner.batches) == (200, [], [1])
    assert service.codes() == [("CANCEL_001", 499), ("ok", 200)]


async def test_a_hang_up_during_execution(service: Service) -> None:
    """A client that goes away while its batch runs costs nobody else anything."""
    service.runner.gate.clear()
    connections = [Connection(whole(BODY)) for _ in range(3)]
    tasks = [service.call(connection) for connection in connections]
    await waits_for(lambda: service.runner.batches)
    connections[0].hung_up.set()
    async with asyncio.timeout(5):
        await tasks[0]
    service.runner.gate.set()
    await asyncio.gather(*tasks)
    assert [len(connection.sent) for connection in connections] == [0, 2, 2]


async def test_a_fast_request_is_not_watched(service: Service) -> None:
    """A request that ends at once leaves no task behind and nothing registered."""
    connection = Connection(whole(BODY))
    before = asyncio.all_tasks()
    await service.call(connection)
    assert connection.status == 200
    assert asyncio.all_tasks() == before
    assert len(service.app._shared.hang_ups) == 0
    connection.hung_up.set()


@pytest.mark.parametrize("pieces", [0, 1, 2])
async def test_a_hang_up_inside_the_body(service: Service, pieces: int) -> None:
    """A client that goes away before its body is complete is not answered, and nothing of it is executed."""
    connection = Connection([{"type": "http.request", "body": BODY[:10], "more_body": True} for _ in range(pieces)])
    connection.hung_up.set()
    await service.call(connection)
    assert connection.sent == []
    assert service.runner.batches == []
    assert service.codes() == [("CANCEL_001", 499)]


async def test_a_body_in_pieces_is_whole(service: Service) -> None:
    """A body may come byte by byte, with empty pieces between."""
    pieces: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": True} for byte in BODY for piece in (bytes([byte]), b"")
    ]
    connection = Connection([*pieces, {"type": "http.request"}])
    await service.call(connection)
    assert connection.status == 200


@pytest.mark.parametrize("declared", [None, b"1001", b"9" * 5000])
async def test_a_body_beyond_the_limit_is_not_read(service: Service, declared: bytes | None) -> None:
    """The 413 comes as soon as the size is known: declared, or reached; the rest is not waited for."""
    messages: list[Message] = [{"type": "http.request", "body": b"x" * 400, "more_body": True} for _ in range(10)]
    connection = Connection(messages, headers=[(b"content-length", declared)] if declared else [])
    await service.call(connection)
    assert connection.status == 413
    assert len(connection.messages) == (7 if declared is None else 10)
    assert dict(connection.sent[0]["headers"])[b"x-furoshiki-error"] == b"VALID_003"


async def test_an_unexpected_error_shows_one_sentence(service: Service) -> None:
    """A fault of ours is a 500 with a request id; its text is for the log only."""

    def broken(_inputs: object, _stop: object) -> None:
        raise RuntimeError("s3cr3t")

    service.runner.run = broken  # type: ignore[method-assign, assignment]
    connection = Connection(whole(BODY), headers=[(b"x-request-id", b"r-1")])
    await service.call(connection)
    headers = dict(connection.sent[0]["headers"])
    assert (connection.status, headers[b"x-furoshiki-error"]) == (500, b"INTERNAL_001")
    assert headers[b"x-request-id"] == b"r-1"
    assert b"s3cr3t" not in connection.sent[1]["body"]


def part(size: int) -> Message:
    return {"type": "http.request", "body": b" " * size, "more_body": True}


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_body_that_stalls_is_refused(service: Service, pieces: int) -> None:
    """A client that stops sending inside its body gets 504 TIMEOUT_001, and its memory is given back."""
    impatient = EdgeLimits(body_idle_s=0.01)
    service.app._edges["/v2"] = RestV2(service.app._parts.plane, limits=impatient, version="0")
    connection = Connection([part(10) for _ in range(pieces)])
    async with asyncio.timeout(5):
        await service.call(connection)
    headers = dict(connection.sent[0]["headers"])
    assert (connection.status, headers[b"x-furoshiki-error"], headers[b"retry-after"]) == (504, b"TIMEOUT_001", b"1")
    assert service.buffered == 0
    assert service.codes() == [("TIMEOUT_001", 504)]


async def test_a_server_that_stops_is_not_a_stalled_body(service: Service) -> None:
    """A task that somebody else cancels while it reads a body ends as cancelled, unanswered."""
    connection = Connection([part(10)])
    task = service.call(connection)
    await waits_for(lambda: service.buffered)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (connection.sent, service.buffered) == ([], 0)


async def test_slow_bodies_share_a_budget(service: Service) -> None:
    """What does not fit beside the bodies that are being received gets 429 at once; whole bodies need no room."""
    slow = Connection([part(900)])
    waiting = service.call(slow)
    await waits_for(lambda: service.buffered == 900)
    second = Connection([part(200), part(200)])
    await service.call(second)
    assert dict(second.sent[0]["headers"])[b"x-furoshiki-error"] == b"QUEUE_001"
    assert second.status == 429
    assert service.buffered == 900
    single = Connection(whole(BODY + b" " * 500))
    await service.call(single)
    assert single.status == 200
    slow.hung_up.set()
    await waiting
    assert service.buffered == 0
    third = Connection([part(900), {"type": "http.request", "body": BODY[:90]}])
    await service.call(third)
    assert (third.status, service.buffered) == (200, 0)


@pytest.mark.parametrize("align", [0, 1, 15, 16, 100, 101])
async def test_data_in_a_body_in_pieces_is_aligned(align: int) -> None:
    """Where a body is received in parts, the data at the wanted offset begins at an aligned address."""
    body = bytes(range(200))
    pieces: list[Message] = [
        {"type": "http.request", "body": body[n : n + 30], "more_body": True} for n in range(0, 200, 30)
    ]
    connection = Connection([*pieces, {"type": "http.request"}])
    exchange = Exchange(connection.scope, connection.receive, connection.send, Shared(EdgeLimits()))
    received = await exchange.body(EdgeLimits(), align=align)
    assert bytes(received) == body
    assert np.frombuffer(received, np.uint8).ctypes.data % 16 == -align % 16
    assert exchange.received_bytes == 200


async def test_a_body_that_drips_is_refused(service: Service) -> None:
    """A client that keeps sending, but so slowly that its body does not end in time, gets 504 as well."""
    limits = EdgeLimits(body_idle_s=30, body_s=0.02)
    service.app._edges["/v2"] = RestV2(service.app._parts.plane, limits=limits, version="0")
    connection = Connection([])

    async def drip() -> Message:
        await asyncio.sleep(0.002)
        return {"type": "http.request", "body": b" ", "more_body": True}

    connection.receive = drip  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        await service.call(connection)
    assert (connection.status, service.codes()) == (504, [("TIMEOUT_001", 504)])
    assert b"within 0.02 s" in connection.sent[1]["body"]
    assert service.buffered == 0


@pytest.mark.parametrize("size", [100, 2**20])
async def test_a_hang_up_while_the_answer_is_made(service: Service, size: int) -> None:
    """A client that goes away before its result, small or encoded in a thread, can be sent breaks nothing."""
    service.runner.run = lambda inputs, _stop=None: {"y": np.zeros((1, size), np.float32)}  # type: ignore[method-assign, assignment]
    connection = Connection(whole(BODY))

    async def broken(_message: Message) -> None:
        raise OSError("connection reset")

    connection.send = broken  # type: ignore[method-assign, assignment]
    await service.call(connection)
    assert service.codes() == [("CANCEL_001", 499)]
    again = Connection(whole(BODY))
    await service.call(again)
    assert again.status == 200
