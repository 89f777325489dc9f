# SPDX-License-Identifier: Apache-2.0
"""The runner's end against API workers that break the rules, ask too much or do not listen."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from core.errors import ErrorCode
from runners.remote.channel import Channel, open_channel
from runners.remote.endpoint import MAGIC, connect
from runners.remote.framing import (
    CANCEL,
    FAILURE,
    FREED,
    PING,
    PONG,
    PREFIX,
    REPLY,
    REQUEST,
    WELCOME,
    frame,
)
from runners.remote.limits import WireLimits
from runners.remote.messages import Request, decode_failure, encode
from runners.remote.tensors import pack
from runners.remote.testing import SIGNATURE, Pair, connected

X = np.ones((1, 2), np.float32)
LIMITS = WireLimits(in_flight=3, frame_bytes=2**20, shared_bytes=2**16)


class Worker:
    """An API worker that sends whatever a test wants, and keeps what it gets."""

    def __init__(self) -> None:
        self.channel: Channel
        self.frames: asyncio.Queue[tuple[int, int, bytes]] = asyncio.Queue()
        self.lost = asyncio.Event()

    def heard(self, _channel: Channel, kind: int, number: int, head: memoryview, _payload: memoryview) -> None:
        self.frames.put_nowait((kind, number, bytes(head)))

    def ended(self, _channel: Channel) -> None:
        self.lost.set()

    def ask(self, number: int) -> None:
        packed = pack(SIGNATURE.inputs, {"x": X})
        head = encode(Request("acme", f"r{number}", packed.shapes))
        self.channel._append(frame(REQUEST, number, head, packed.parts, packed.size))


@asynccontextmanager
async def worker(pair: Pair) -> AsyncIterator[Worker]:
    made = Worker()
    made.channel = await open_channel(
        await connect(pair.path), limits=LIMITS, throttled=False, on_frame=made.heard, on_lost=made.ended
    )
    assert (await made.frames.get())[0] == WELCOME
    try:
        yield made
    finally:
        made.channel.abort()
        await made.lost.wait()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with connected(tmp_path, limits=LIMITS) as both:
        yield both


async def still_serves(pair: Pair) -> None:
    """The other connection is as it was."""
    pair.model.asked.clear()
    async with worker(pair) as fresh:
        fresh.ask(1)
        (asked,) = await pair.model.reached(1)
        asked.answer({"y": X, "rows": np.array([1])})
        assert (await fresh.frames.get())[:2] == (REPLY, 1)
    assert pair.handle.ready


BROKEN = {
    "prefix": PREFIX.pack(2**31, 8, 1, REQUEST),
    "kind": b"".join(frame(99, 1)),
    "a runner's kind": b"".join(frame(REPLY, 1)),
    "head": b"".join(frame(REQUEST, 1, b"\xc1")),
    "head of another shape": b"".join(frame(REQUEST, 1, encode(["acme"]))),
    "tensors": b"".join(frame(REQUEST, 1, encode(Request("acme", "r", [(1, 2)])))),
    "rank": b"".join(frame(REQUEST, 1, encode(Request("acme", "r", [(2,)])), [bytes(8)], 8)),
    "block": b"".join(frame(REQUEST, 1, encode(Request("acme", "r", [(1, 2)], 2**20, 8)))),
    "freed": b"".join(frame(FREED, 7)),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=list(BROKEN))
async def test_a_worker_that_breaks_the_rules_is_disconnected(pair: Pair, data: bytes) -> None:
    """A malformed frame ends its connection at once, reaches no model and costs the others nothing."""
    async with worker(pair) as bad:
        assert bad.channel._transport is not None
        bad.channel._transport.write(data)
        await bad.lost.wait()
    assert pair.model.asked == []
    await still_serves(pair)


async def test_one_number_twice_breaks_the_rules(pair: Pair) -> None:
    """A number that is in use cannot be used again; what it had asked is dropped."""
    async with worker(pair) as bad:
        bad.ask(1)
        bad.ask(1)
        await bad.lost.wait()
    assert [asked.cancelled for asked in pair.model.asked] == [True]


@pytest.mark.parametrize("said", [b"GET /v2 HTTP/1.1\r\n\r\n", b"", MAGIC])
async def test_a_stranger_is_let_go(pair: Pair, said: bytes) -> None:
    """Who does not greet as a worker does, or leaves at once, is let go."""
    stranger = await connect(pair.path)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(stranger, said)
    stranger.shutdown(socket.SHUT_WR)
    with suppress(ConnectionResetError):
        while await loop.sock_recv(stranger, 64):
            pass
    stranger.close()
    await still_serves(pair)


async def test_a_worker_that_ends_takes_its_requests_with_it(pair: Pair) -> None:
    """When a worker dies, what it asked leaves the queue uncomputed; the others' requests stay."""
    async with worker(pair) as other:
        other.ask(1)
        await pair.model.reached(1)
        async with worker(pair) as dying:
            dying.ask(1)
            dying.ask(2)
            kept, *dropped = await pair.model.reached(3)
        while not all(asked.cancelled for asked in dropped):
            await asyncio.sleep(0)
        kept.answer({"y": X, "rows": np.array([1])})
        assert (await other.frames.get())[:2] == (REPLY, 1)


async def test_a_worker_may_ask_so_much_at_once(pair: Pair) -> None:
    """Beyond the requests in flight of one connection the answer is QUEUE_001, and cancelling makes room."""
    async with worker(pair) as greedy:
        for number in range(1, 5):
            greedy.ask(number)
        kind, number, head = await greedy.frames.get()
        assert (kind, number, decode_failure(head).code) == (FAILURE, 4, ErrorCode.QUEUE_FULL)
        greedy.channel.send(CANCEL, 1)
        greedy.ask(5)
        assert (await pair.model.reached(4))[0].cancelled


async def test_a_ping_is_answered(pair: Pair) -> None:
    """A sign of life carries the model's statistics."""
    async with worker(pair) as asking:
        asking.channel.send(PING, 9)
        assert (await asking.frames.get())[:2] == (PONG, 9)


async def test_answers_nobody_reads_do_not_pile_up(tmp_path: Path) -> None:
    """From a worker that does not read its answers no more requests are read, and from the others they are."""
    limits = WireLimits(in_flight=10_000)
    result = {"y": np.ones((1, 2000), np.float32), "rows": np.array([1])}
    async with connected(tmp_path, limits=limits) as pair, worker(pair) as deaf:
        assert deaf.channel._transport is not None
        deaf.channel._transport.pause_reading()
        number = answered = 0
        for _ in range(100):
            for _ in range(50):
                number += 1
                deaf.ask(number)
            for _ in range(20):
                await asyncio.sleep(0)
            answered += len(pair.model.asked)
            pair.model.answer_all(result)
        assert answered < number
        assert len(pair.model.asked) == 0
        await still_serves(pair)


async def test_connections_leave_no_descriptors(pair: Pair) -> None:
    """Descriptors and shared memory of a connection go with it."""
    counts = []
    for _ in range(5):
        await still_serves(pair)
        while len(pair.server._sessions) > 1:
            await asyncio.sleep(0)
        counts.append(len(os.listdir("/proc/self/fd")))
    assert counts == counts[:1] * 5
