# SPDX-License-Identifier: Apache-2.0
"""One connection between an API worker and a runner, from either end.

Frames of one turn of the event loop are written together, a few at a time: one by one each would cost a system call, and all
at once one end would be idle while the other works.

The runner reads no requests from a worker that does not read its answers, so that they do not pile up; a worker always reads,
so the two never wait for each other.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final, TypeAlias, cast

from core.telemetry.logs import get_logger
from core.tensors import Shape
from runners.remote.blocks import BlockReader, BlockWriter
from runners.remote.endpoint import greet
from runners.remote.framing import FREED, Buffer, FrameReader, ProtocolError, TooLarge, frame
from runners.remote.limits import WireLimits
from runners.remote.tensors import Packed

OnFrame: TypeAlias = Callable[["Channel", int, int, memoryview, memoryview], None]  # kind, id, head, payload
OnLost: TypeAlias = Callable[["Channel"], None]
Head: TypeAlias = Callable[[list[Shape], int | None, int], bytes]  # shapes, block, bytes of the block

_TOGETHER: Final = 4  # frames in one write; measured in docs/adr/0008-split-topology.md
_UNWRITTEN: Final = 2**20  # bytes of answers not yet written above which no request is read

log = get_logger(__name__)


class Channel(asyncio.BufferedProtocol):
    """Frames both ways; see :func:`open_channel`.

    Args:
        limits: Bounds.
        writer: Memory this end sends tensors through.
        reader: Memory the other end does.
        throttled: Whether to read nothing while the other end does not read; for one end only.
        on_frame: Told of every frame but those of this class.
        on_lost: Told once, when the connection has ended.
    """

    def __init__(
        self,
        *,
        limits: WireLimits,
        writer: BlockWriter,
        reader: BlockReader,
        throttled: bool,
        on_frame: OnFrame,
        on_lost: OnLost,
    ) -> None:
        self._limits = limits
        self._writer = writer
        self._reader = reader
        self._throttled = throttled
        self._frames = FrameReader(limits.frame_bytes)
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._out: list[Buffer] = []
        self._gathered = 0  # frames in it

    @property
    def open(self) -> bool:
        """Whether the connection stands."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, kind: int, number: int, head: bytes = b"") -> None:
        """Sends a frame without tensors."""
        self._append(frame(kind, number, head))

    def send_tensors(self, kind: int, number: int, head: Head, tensors: Packed) -> None:
        """Sends a frame with tensors.

        Args:
            kind: The frame's kind.
            number: Its id.
            head: Makes its head from what became of the tensors.
            tensors: What it carries.

        Raises:
            TooLarge: It does not fit into one frame.
        """
        size = tensors.size
        if size >= self._limits.shared_above:
            block = self._writer.place(tensors.parts, size)
            if block is not None:
                self._append(frame(kind, number, head(tensors.shapes, block, size)))
                return
            if size > self._limits.frame_bytes // 2:
                raise TooLarge(f"{size} bytes of tensors")
        self._append(frame(kind, number, head(tensors.shapes, None, 0), tensors.parts, size))

    def payload(self, block: int | None, size: int, payload: memoryview) -> memoryview:
        """The tensors of a frame: a block of shared memory, or the frame's own payload.

        Raises:
            ProtocolError: There is no such block.
        """
        return payload if block is None else self._reader.take(block, size)

    def close(self) -> None:
        """Ends the connection after what was sent. May be called twice."""
        self._write()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(high=_UNWRITTEN)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._frames.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._frames.received(nbytes, self._received)
        except ProtocolError as error:
            log.error("connection_broken_off", reason=str(error))
            self.abort()

    def pause_writing(self) -> None:
        if self._throttled and self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._throttled and self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._out.clear()
        self._writer.close()
        self._reader.close()
        self._on_lost(self)

    def _received(self, kind: int, number: int, head: memoryview, payload: memoryview) -> None:
        if kind == FREED:
            self._writer.freed(number)
        else:
            self._on_frame(self, kind, number, head, payload)

    def _append(self, parts: list[Buffer]) -> None:
        if not self._out:
            self._loop.call_soon(self._write)
        self._out += parts
        self._gathered += 1
        if self._gathered == _TOGETHER:
            self._write()

    def _write(self) -> None:
        if self._transport is not None:
            for offset in self._reader.dropped():
                self._out += frame(FREED, offset)
            if self._out:
                self._transport.write(b"".join(self._out))
        self._out.clear()
        self._gathered = 0


async def open_channel(
    connection: socket.socket, *, limits: WireLimits, throttled: bool, on_frame: OnFrame, on_lost: OnLost
) -> Channel:
    """Greets the other end of a new connection and starts to read from it; closes the connection when that fails.

    Raises:
        ProtocolError: The other end is none of ours.
        OSError: The connection broke, or there is no memory to share.
    """
    try:
        writer, reader = await _share(connection, limits.shared_bytes)
        channel = Channel(
            limits=limits, writer=writer, reader=reader, throttled=throttled, on_frame=on_frame, on_lost=on_lost
        )
        await asyncio.get_running_loop().connect_accepted_socket(lambda: channel, connection)
    except BaseException:
        connection.close()
        raise
    return channel


async def _share(connection: socket.socket, size: int) -> tuple[BlockWriter, BlockReader]:
    writer = BlockWriter(size)
    try:
        received = await greet(connection, writer.fd)
        try:
            return writer, BlockReader(received)
        finally:
            os.close(received)
    except BaseException:
        writer.close()
        raise
