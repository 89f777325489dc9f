# SPDX-License-Identifier: Apache-2.0
"""What a connection writes: the frames of one turn of the event loop together, and data only as the client has room.

An answer that fits the windows of its stream and of the connection goes out at once. What does not fit waits in its stream;
streams with room take turns, a frame each.
"""

from __future__ import annotations

import asyncio
import struct
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from services.grpc_v2.http2 import frames
from services.grpc_v2.http2.frames import Code, ConnectionFault, StreamFault
from services.grpc_v2.http2.heads import ENDED, STARTED

_AT_ONCE: Final = 2**20  # bytes of waiting data taken into one write
_LINGER_S: Final = 1.0
_PREFIX: Final = struct.Struct(">BL")  # before a message: not compressed, its length
# A good answer is written as three frames: head, data with the prefix of its message, end.
_BEFORE: Final = struct.Struct(f">BHBBL{len(STARTED)}sBHBBLBL")
_AFTER: Final = struct.Struct(f">BHBBL{len(ENDED)}s")
_LAST: Final = frames.END_HEADERS | frames.END_STREAM


class Outgoing(ABC):
    """What one stream still has to send.

    Args:
        id: Its number.
        window: Bytes its client has room for.
    """

    __slots__ = ("data", "end", "id", "window")

    def __init__(self, id: int, window: int) -> None:  # noqa: A002 -- the protocol's word
        self.id = id
        self.window = window
        self.data: deque[memoryview] = deque()
        self.end: bytes | None = None  # the block after the data

    @abstractmethod
    def sent(self, ended: bool) -> None:
        """Nothing waits any more; whether that was the end."""


class Outbox:
    """The sending side of one connection.

    Args:
        transport: What it writes to.
        loop: The running loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._frames: list[bytes | memoryview] = []
        self._scheduled = False
        self._ready: dict[Outgoing, None] = {}  # have data, and room in their own windows
        self._window = frames.DEFAULT_WINDOW
        self._frame = frames.SMALLEST_FRAME
        self.waiting = 0  # bytes of data
        self.moved = False  # some of them were sent since this was last reset
        self.wrote = False  # something of a call, since this was last reset
        self.paused = False
        self._pumping = False
        self.first_window = frames.DEFAULT_WINDOW  # of a new stream

    def put(self, frame: bytes) -> None:
        """Sends a frame that is not data."""
        self._frames.append(frame)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self.flush)

    def reply(self, out: Outgoing, message: bytes) -> None:
        """Sends the head, the only message and the good end of an answer."""
        size = len(message) + _PREFIX.size
        if size > out.window or size > self._window or size > self._frame:
            self.start(out.id)
            self.send(out, message, ENDED)
            return
        self._window -= size
        high, low, id_ = size >> 16, size & 0xFFFF, out.id
        before = _BEFORE.pack(
            0, len(STARTED), frames.HEADERS, frames.END_HEADERS, id_, STARTED, high, low, frames.DATA, 0, id_, 0, len(message)
        )  # fmt: skip
        self._frames += (before, message, _AFTER.pack(0, len(ENDED), frames.HEADERS, _LAST, id_, ENDED))
        self.wrote = True
        out.sent(True)
        if self._frames and not self._scheduled:  # they may have been written with the last answer
            self._schedule()

    def start(self, stream: int) -> None:
        """Sends the head of an answer."""
        self.put(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, STARTED))

    def send(self, out: Outgoing, message: bytes, end: bytes | None = None) -> None:
        """Sends a message, and the block that ends the stream if there is one; tells ``out`` when it was sent."""
        out.data += (memoryview(_PREFIX.pack(0, len(message)) + message),)
        out.end = end
        self.waiting += len(message) + _PREFIX.size
        self._look(out)
        self._pump()

    def finish(self, out: Outgoing, end: bytes) -> None:
        """Sends the block that ends a stream, behind what waits."""
        out.end = end
        if not out.data:
            self.put(frames.frame(frames.HEADERS, _LAST, out.id, end))
            out.sent(True)

    def drop(self, out: Outgoing) -> None:
        """Forgets what a stream has not sent."""
        self.waiting -= sum(map(len, out.data))
        out.data.clear()
        self._ready.pop(out, None)

    def widen(self, size: int) -> None:
        """The client has room for more on the connection.

        Raises:
            ConnectionFault: If that is nothing, or more than there can be.
        """
        self._window += size
        if not size:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a window update of nothing")
        if self._window > frames.LARGEST_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window beyond its limit")
        self._pump()

    def widen_stream(self, out: Outgoing, size: int) -> None:
        """The client has room for more on a stream.

        Raises:
            StreamFault: If that is nothing, or more than there can be.
        """
        out.window += size
        if not size:
            raise StreamFault(Code.PROTOCOL_ERROR)
        if out.window > frames.LARGEST_WINDOW:
            raise StreamFault(Code.FLOW_CONTROL_ERROR)
        self._look(out)
        self._pump()

    def configure(self, key: int, value: int, streams: Iterable[Outgoing]) -> None:
        """Follows a setting of the client.

        Raises:
            ConnectionFault: If it is not legal.
        """
        if key == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if key == frames.MAX_FRAME:
            if not frames.SMALLEST_FRAME <= value < 2**24:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE is not legal")
            self._frame = min(value, _AT_ONCE)
        elif key == frames.INITIAL_WINDOW:
            if value > frames.LARGEST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is not legal")
            grown, self.first_window = value - self.first_window, value
            for out in streams:
                out.window += grown
                if out.window > frames.LARGEST_WINDOW:
                    raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window beyond its limit")
                self._look(out)
            self._pump()

    def _look(self, out: Outgoing) -> None:
        if out.data and out.window > 0:
            self._ready[out] = None
        else:
            self._ready.pop(out, None)

    def resume(self) -> None:
        """The transport takes more."""
        self.paused = False
        self._pump()

    def _pump(self) -> None:
        room = _AT_ONCE
        while self._ready and self._window > 0 and room > 0 and not self.paused:
            out = next(iter(self._ready))
            room -= self._piece(out)
        if room <= 0 and not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump_on)
        if self._frames and not self._scheduled:
            self._schedule()

    def _pump_on(self) -> None:
        self._pumping = False
        self._pump()

    def _piece(self, out: Outgoing) -> int:
        """One frame of a stream that is ready, which then stands behind the others."""
        data = out.data[0]
        size = min(len(data), self._frame, out.window, self._window)
        self._frames.append(frames.head(frames.DATA, 0, out.id, size))
        self._frames.append(data[:size])
        self._window -= size
        out.window -= size
        self.waiting -= size
        self.moved = self.wrote = True
        if size == len(data):
            out.data.popleft()
        else:
            out.data[0] = data[size:]
        del self._ready[out]
        self._look(out)
        if not out.data:
            if out.end is not None:
                self._frames.append(frames.frame(frames.HEADERS, _LAST, out.id, out.end))
            out.sent(out.end is not None)
        return size

    def flush(self) -> None:
        """Writes what there is."""
        self._scheduled = False
        if self._frames and not self._transport.is_closing():
            data = b"".join(self._frames)
            self._transport.write(data)
        self._frames.clear()

    def close(self, *, at_once: bool) -> None:
        """Writes what there is, and closes when the client has, or has had time to.

        Closing the socket could lose what was written: a frame that still comes then makes the system reset the connection.
        And gRPC's own client drops answers it has not handed on when the end of the connection reaches it.

        Args:
            at_once: Tell the client the end of the connection now.
        """
        self.flush()
        if self._transport.is_closing():
            return
        if at_once and self._transport.can_write_eof():
            with suppress(OSError):  # the client has gone
                self._transport.write_eof()
        self._loop.call_later(_LINGER_S, self._transport.close)
