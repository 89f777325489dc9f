# SPDX-License-Identifier: Apache-2.0
"""What a client does wrong: the stream or the connection ends with the code RFC 9113 names, and nothing else suffers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from runners.testing import FakeRunner
from services.edge.limits import EdgeLimits
from services.grpc_v2.http2 import frames
from services.grpc_v2.http2.frames import ACK, END_HEADERS, END_STREAM, PADDED, WITH_PRIORITY, Code
from services.grpc_v2.options import GrpcOptions
from tests.unit.services.grpc_v2.http2.wire import INFER, MESSAGE, STREAM, Wire, prefixed, wired

BOMB = b"\x00\x01a\x7f\x81\xfe\x03" + b"x" * 65_536  # a literal of 64 KiB


def continued(wire: Wire, count: int, size: int) -> None:
    wire.send(frames.HEADERS, 0, 1, wire.block())
    for _ in range(count):
        wire.send(frames.CONTINUATION, 0, 1, b"\x00" * size)


def interrupted(wire: Wire, kind: int, flags: int, stream: int) -> None:
    wire.send(frames.HEADERS, 0, 1, wire.block())
    wire.send(kind, flags, stream, b"12345678")


def drained(wire: Wire) -> None:
    wire.open(1)
    wire.raw(frames.frame(frames.DATA, 0, 1, b"") * 10_000)


def bombed(wire: Wire) -> None:
    """One field of 4 KB in the table, and a block that refers to it a thousand times."""
    field = b"\x40\x01a\x7f\xa0\x1e" + b"x" * 3999
    wire.send(frames.HEADERS, END_HEADERS, 1, field + b"\xbe" * 1000)


FATAL: dict[str, tuple[Callable[[Wire], None], Code]] = {
    "data on an idle stream": (lambda w: w.send(frames.DATA, 0, 1, b"x"), Code.PROTOCOL_ERROR),
    "data on stream 0": (lambda w: w.send(frames.DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
    "an even stream": (lambda w: w.open(2), Code.PROTOCOL_ERROR),
    "headers on stream 0": (lambda w: w.open(0), Code.PROTOCOL_ERROR),
    "a reset of an idle stream": (lambda w: w.send(frames.RST_STREAM, 0, 1, b"\0" * 4), Code.PROTOCOL_ERROR),
    "a short reset": (lambda w: w.send(frames.RST_STREAM, 0, 1, b"\0" * 3), Code.FRAME_SIZE_ERROR),
    "a push": (lambda w: w.send(frames.PUSH_PROMISE, END_HEADERS, 1, b"\0" * 8), Code.PROTOCOL_ERROR),
    "a frame that is too large": (lambda w: w.raw(b"\x10\0\0\0\0\0\0\0\1"), Code.FRAME_SIZE_ERROR),
    "a short ping": (lambda w: w.send(frames.PING, 0, 0, b"1234"), Code.FRAME_SIZE_ERROR),
    "a ping on a stream": (lambda w: w.send(frames.PING, 0, 1, b"12345678"), Code.PROTOCOL_ERROR),
    "settings on a stream": (lambda w: w.send(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "settings cut off": (lambda w: w.send(frames.SETTINGS, 0, 0, b"12345"), Code.FRAME_SIZE_ERROR),
    "settings acknowledged with more": (lambda w: w.send(frames.SETTINGS, ACK, 0, b"123456"), Code.FRAME_SIZE_ERROR),
    "a frame size nobody may ask for": (lambda w: w.raw(frames.settings({frames.MAX_FRAME: 1})), Code.PROTOCOL_ERROR),
    "a first window too large": (
        lambda w: w.raw(frames.settings({frames.INITIAL_WINDOW: 2**31})),
        Code.FLOW_CONTROL_ERROR,
    ),
    "push neither on nor off": (lambda w: w.raw(frames.settings({frames.ENABLE_PUSH: 2})), Code.PROTOCOL_ERROR),
    "a window too large": (lambda w: w.raw(frames.window_update(0, 2**31 - 1)), Code.FLOW_CONTROL_ERROR),
    "a window of nothing": (lambda w: w.raw(frames.window_update(0, 0)), Code.PROTOCOL_ERROR),
    "a window of an idle stream": (lambda w: w.raw(frames.window_update(5, 1)), Code.PROTOCOL_ERROR),
    "headers that cannot be decoded": (
        lambda w: w.send(frames.HEADERS, END_HEADERS, 1, b"\xff" * 7),
        Code.COMPRESSION_ERROR,
    ),
    "headers cut off": (lambda w: w.send(frames.HEADERS, END_HEADERS, 1, b"\x00\x05ab"), Code.COMPRESSION_ERROR),
    "headers larger than any": (lambda w: w.send(frames.HEADERS, END_HEADERS, 1, BOMB), Code.ENHANCE_YOUR_CALM),
    "a header bomb": (bombed, Code.ENHANCE_YOUR_CALM),
    "many continuations": (lambda w: continued(w, 20, 1), Code.ENHANCE_YOUR_CALM),
    "large continuations": (lambda w: continued(w, 3, 16_000), Code.ENHANCE_YOUR_CALM),
    "a continuation of nothing": (lambda w: w.send(frames.CONTINUATION, END_HEADERS, 1, b""), Code.PROTOCOL_ERROR),
    "headers interrupted": (
        lambda w: interrupted(w, frames.PING, 0, 0),
        Code.PROTOCOL_ERROR,
    ),
    "headers continued elsewhere": (
        lambda w: interrupted(w, frames.CONTINUATION, END_HEADERS, 3),
        Code.PROTOCOL_ERROR,
    ),
    "more padding than headers": (
        lambda w: w.send(frames.HEADERS, END_HEADERS | PADDED, 1, b"\x09" + b"x" * 8),
        Code.PROTOCOL_ERROR,
    ),
    "headers without their priority": (
        lambda w: w.send(frames.HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"\0\0"),
        Code.FRAME_SIZE_ERROR,
    ),
    "a flood of pings": (lambda w: w.raw(frames.frame(frames.PING, 0, 0, b"12345678") * 5), Code.ENHANCE_YOUR_CALM),
    "a flood of settings": (lambda w: w.raw(frames.settings({}) * 10_000), Code.ENHANCE_YOUR_CALM),
    "a flood of priorities": (
        lambda w: w.raw(frames.frame(frames.PRIORITY, 0, 1, b"\0" * 5) * 10_000),
        Code.ENHANCE_YOUR_CALM,
    ),
    "a flood of unknown frames": (lambda w: w.raw(frames.frame(77, 0, 1, b"") * 10_000), Code.ENHANCE_YOUR_CALM),
    "a flood of empty data": (
        drained,
        Code.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize("name", FATAL)
async def test_what_ends_a_connection(serving: Any, name: str) -> None:
    """The connection ends with the code of its fault; the next one is answered."""
    act, code = FATAL[name]
    async with serving() as service:
        async with wired(service.server.port) as wire:
            act(wire)
            assert (await wire.end())[0] is code
        async with wired(service.server.port) as wire:
            wire.call(1)
            assert await wire.status(1) == 0
        assert service.made.plane._gate._accounts == {} or not any(
            account.in_flight for account in service.made.plane._gate._accounts.values()
        )


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", frames.PREFACE[:-1] + b"X", frames.PREFACE + frames.SETTINGS_ACK],
)
async def test_what_is_not_http2(serving: Any, data: bytes) -> None:
    """Whatever begins otherwise is told so, and disconnected."""
    async with serving() as service, wired(service.server.port, greet=False) as wire:
        wire.raw(data)
        assert (await wire.end())[0] is Code.PROTOCOL_ERROR


async def test_byte_by_byte(serving: Any) -> None:
    """However the bytes arrive, a call is answered."""
    async with serving() as service, wired(service.server.port) as wire:
        block = wire.block()
        data = frames.frame(frames.HEADERS, END_HEADERS, 1, block)
        data += frames.frame(frames.DATA, END_STREAM, 1, prefixed(MESSAGE))
        for byte in data:
            wire.raw(bytes((byte,)))
            await asyncio.sleep(0)
        assert await wire.status(1) == 0


async def test_padding_priority_and_unknown_frames(serving: Any) -> None:
    """Padding is taken off, priorities and unknown frames are ignored, a message may come in many frames."""
    async with serving() as service, wired(service.server.port) as wire:
        wire.send(frames.HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, b"\x03" + b"\0" * 5 + wire.block() + b"pad")
        wire.send(99, 0xFF, 1, b"?")
        wire.send(frames.PRIORITY, 0, 1, b"\0" * 5)
        data = prefixed(MESSAGE)
        for byte in data[:-1]:
            wire.send(frames.DATA, PADDED, 1, b"\x02" + bytes((byte,)) + b"xx")
        wire.send(frames.DATA, END_STREAM, 1, data[-1:])
        assert await wire.status(1) == 0
        wire.send(frames.HEADERS, 0, 3, wire.block()[:5])
        rest = wire.block()[5:]
        wire.send(frames.CONTINUATION, END_HEADERS, 3, rest)
        wire.send(frames.DATA, END_STREAM, 3, data)
        assert await wire.status(3) == 0


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Upper": "x"}, Code.PROTOCOL_ERROR),
        ({"connection": "close"}, Code.PROTOCOL_ERROR),
        ({"grpc_timeout": "soon"}, Code.PROTOCOL_ERROR),
    ],
)
async def test_headers_that_are_not_legal(serving: Any, headers: dict[str, str], code: Code) -> None:
    """A request with illegal headers is reset; the connection goes on."""
    async with serving() as service, wired(service.server.port) as wire:
        wire.send(frames.HEADERS, END_HEADERS, 1, wire.block(**headers))
        assert await wire.reset() == (1, code)
        wire.call(3)
        assert await wire.status(3) == 0


async def test_frames_on_a_stream_that_ended(serving: Any) -> None:
    """Data and headers on a stream that was answered get STREAM_CLOSED; the connection goes on."""
    async with serving() as service, wired(service.server.port) as wire:
        wire.call(1)
        assert await wire.status(1) == 0
        wire.send(frames.DATA, 0, 1, b"x")
        assert await wire.reset() == (1, Code.STREAM_CLOSED)
        wire.open(1)
        assert await wire.reset() == (1, Code.STREAM_CLOSED)
        wire.call(3)
        assert await wire.status(3) == 0


async def test_data_after_the_end(serving: Any, runner: FakeRunner) -> None:
    """Data behind END_STREAM resets the stream and cancels its call."""
    runner.gate.clear()
    async with serving() as service, wired(service.server.port) as wire:
        wire.call(1)
        wire.send(frames.DATA, 0, 1, b"x")
        assert await wire.reset() == (1, Code.STREAM_CLOSED)
        assert [account.in_flight for account in service.made.plane._gate._accounts.values()] == [0]
        runner.gate.set()


async def test_more_than_the_window(serving: Any) -> None:
    """A client that sends a stream more than its window is reset."""
    async with serving() as service, wired(service.server.port) as wire:
        wire.open(1, STREAM)
        for _ in range(6):
            wire.send(frames.DATA, 0, 1, bytes(262_144))
        assert await wire.reset() == (1, Code.FLOW_CONTROL_ERROR)


async def test_rapid_reset(serving: Any, runner: FakeRunner) -> None:
    """Who opens and resets calls without end is disconnected, and none of its calls is left."""
    runner.gate.clear()
    async with serving(options=GrpcOptions(connection_calls=8)) as service, wired(service.server.port) as wire:
        for number in range(3000):
            wire.call(2 * number + 1)
            wire.send(frames.RST_STREAM, 0, 2 * number + 1, b"\0\0\0\x08")
        assert (await wire.end())[0] is Code.ENHANCE_YOUR_CALM
        assert [account.in_flight for account in service.made.plane._gate._accounts.values()] == [0]
        runner.gate.set()


async def test_too_many_streams(serving: Any, runner: FakeRunner) -> None:
    """A call beyond the bound of its connection is refused in a way that says nothing was done."""
    runner.gate.clear()
    async with serving(options=GrpcOptions(connection_calls=2)) as service, wired(service.server.port) as wire:
        for stream in (1, 3, 5):
            wire.call(stream)
        assert await wire.reset() == (5, Code.REFUSED_STREAM)
        runner.gate.set()
        assert await wire.status(3) == 0


async def test_a_client_without_room(serving: Any) -> None:
    """An answer waits for its stream's window, comes in pieces, and ends when all of it was sent."""
    async with serving() as service, wired(service.server.port) as wire:
        wire.raw(frames.settings({frames.INITIAL_WINDOW: 0}))
        wire.call(1)
        answer = b""
        head = await wire.next(frames.HEADERS)
        assert not head.flags & END_STREAM
        wire.fields(head)
        wire.raw(frames.window_update(1, 10))
        answer += (await wire.next(frames.DATA)).payload
        assert len(answer) == 10
        wire.raw(frames.settings({frames.INITIAL_WINDOW: 65_535}))
        answer += (await wire.next(frames.DATA)).payload
        assert int.from_bytes(answer[1:5], "big") == len(answer) - 5
        assert await wire.status(1) == 0


async def test_a_client_that_never_has_room(serving: Any) -> None:
    """An answer nobody takes ends its connection after a while."""
    limits = EdgeLimits(body_idle_s=0.05, body_s=0.1)
    async with serving(limits=limits) as service, wired(service.server.port) as wire:
        wire.raw(frames.settings({frames.INITIAL_WINDOW: 0}))
        wire.call(1)
        await wire.next(frames.HEADERS)
        while await wire.read() is not None:
            pass


@pytest.mark.parametrize("part", [b"", b"\0\0\0", prefixed(MESSAGE)[:-1]])
async def test_a_message_that_does_not_come(serving: Any, part: bytes) -> None:
    """A call whose message is not complete in time ends with DEADLINE_EXCEEDED, and its memory is given back."""
    async with serving(limits=EdgeLimits(body_idle_s=0.05)) as service, wired(service.server.port) as wire:
        wire.open(1)
        if part:
            wire.send(frames.DATA, 0, 1, part)
        assert await wire.status(1) == 4


@pytest.mark.parametrize(
    "part", [b"", frames.PREFACE[:9], frames.PREFACE, frames.PREFACE + frames.settings({}) + b"\0\0"]
)
async def test_a_connection_that_does_not_begin(serving: Any, part: bytes) -> None:
    """A connection that stops before its first call, inside its beginning or a frame, ends."""
    async with serving(limits=EdgeLimits(body_idle_s=0.05)) as service, wired(service.server.port, greet=False) as wire:
        wire.raw(part)
        assert (await wire.end())[0] is Code.PROTOCOL_ERROR


async def test_an_idle_connection(serving: Any) -> None:
    """A connection without calls ends in peace when it was idle for long; one that is silent is asked before."""
    options = GrpcOptions(stream_idle_s=0.2, keepalive_s=0.02)
    async with serving(options=options) as service, wired(service.server.port) as wire:
        asked = await wire.next(frames.PING)
        wire.send(frames.PING, ACK, 0, asked.payload)
        assert (await wire.end())[0] is Code.NO_ERROR


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 13),
        (b"\0\0", 13),
        (b"\x02\0\0\0\0", 13),
        (prefixed(MESSAGE) * 2, 13),
        (b"\0\xff\xff\xff\xff", 8),
        (b"\x01\0\0\0\x01x", 13),
    ],
)
async def test_what_is_no_message(serving: Any, data: bytes, status: int) -> None:
    """A unary call has exactly one message, no larger than its limit and packed as its headers say."""
    async with serving() as service, wired(service.server.port) as wire:
        wire.open(1)
        wire.send(frames.DATA, END_STREAM, 1, data)
        assert await wire.status(1) == status
        wire.call(3)
        assert await wire.status(3) == 0


async def test_a_message_packed_as_nobody_can(serving: Any) -> None:
    """A coding that is not known gets UNIMPLEMENTED."""
    async with serving() as service, wired(service.server.port) as wire:
        wire.open(1, grpc_encoding="br")
        wire.send(frames.DATA, END_STREAM, 1, b"\x01\0\0\0\x01x")
        assert await wire.status(1) == 12


async def test_what_is_not_grpc(serving: Any) -> None:
    """Another method or media type gets an answer of HTTP."""
    async with serving() as service, wired(service.server.port) as wire:
        found = []
        for stream, fields in ((1, {":method": "GET"}), (3, {"content-type": "text/plain"})):
            said = {":method": "POST", ":scheme": "http", ":path": INFER, "content-type": "application/grpc"} | fields
            wire.send(frames.HEADERS, END_HEADERS | END_STREAM, stream, wire.encoded(said))
            found.append(wire.fields(await wire.next(frames.HEADERS))[":status"])
        assert found == ["405", "415"]


async def test_a_large_answer_and_many_calls(serving: Any, runner: FakeRunner) -> None:
    """Calls that end together are written together, each to its own stream."""
    runner.gate.clear()
    async with serving() as service, wired(service.server.port) as wire:
        streams = range(1, 128, 2)
        for stream in streams:
            wire.call(stream)
        runner.gate.set()
        ended: set[int] = set()
        while len(ended) < len(streams):
            frame = await wire.next(frames.HEADERS)
            if frame.flags & END_STREAM:
                ended.add(frame.stream)
        assert ended == set(streams)


async def test_a_client_that_leaves(serving: Any, runner: FakeRunner) -> None:
    """GOAWAY of a client: what it asked is answered, and the connection ends."""
    runner.gate.clear()
    async with serving() as service, wired(service.server.port) as wire:
        wire.call(1)
        wire.raw(frames.goaway(0, Code.NO_ERROR))
        wire.call(3)
        assert await wire.reset() == (3, Code.REFUSED_STREAM)
        runner.gate.set()
        assert await wire.status(1) == 0
        assert await wire.read() is None


async def test_a_client_that_hangs_up(serving: Any, runner: FakeRunner) -> None:
    """A connection that is lost cancels its calls."""
    runner.gate.clear()
    async with serving() as service:
        async with wired(service.server.port) as wire:
            for stream in (1, 3, 5):
                wire.call(stream)
            accounts = service.made.plane._gate._accounts
            async with asyncio.timeout(10):
                while not accounts or next(iter(accounts.values())).in_flight < 3:
                    await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            while next(iter(accounts.values())).in_flight:
                await asyncio.sleep(0.001)
        runner.gate.set()
