# SPDX-License-Identifier: Apache-2.0
"""From bytes to frames that are legal by themselves (RFC 9113, sections 3.4, 4 and 6), and to whole header blocks.

A frame is handed on when it is complete; at most one is kept until then.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from services.grpc_v2.http2 import frames
from services.grpc_v2.http2.frames import HEAD, HEAD_BYTES, Code, ConnectionFault, StreamFault
from services.grpc_v2.http2.heads import LONGEST_BLOCK

LARGEST_FRAME: Final = 256 * 2**10
_MOST_CONTINUATIONS: Final = 8
_SCRATCH: Final = memoryview(
    bytearray(256 * 2**10)
)  # what every connection receives into; emptied before the next does
# What a frame's payload has, where its type says so.
_SIZES: Final = {frames.PRIORITY: 5, frames.RST_STREAM: 4, frames.PING: 8, frames.WINDOW_UPDATE: 4}
_OF_CONNECTION: Final = frozenset({frames.SETTINGS, frames.PING, frames.GOAWAY})
_OF_STREAM: Final = frozenset({frames.DATA, frames.HEADERS, frames.PRIORITY, frames.RST_STREAM, frames.CONTINUATION})


class Reader(asyncio.BufferedProtocol, ABC):
    """The receiving side of one connection.

    Attributes:
        closed: Whether what comes is ignored.
        settled: Whether the client's first settings came.
    """

    def __init__(self) -> None:
        self._rest = bytearray()  # received, and not a whole frame
        self._need = len(frames.PREFACE)
        self._greeted = False
        self._block: _Block | None = None  # of headers, being received
        self.settled = False
        self.closed = False

    @property
    def unfinished(self) -> bool:
        """Whether a frame, headers or the beginning of the connection are incomplete."""
        return bool(self._rest) or self._block is not None or not self.settled

    @abstractmethod
    def heard(self) -> None:
        """Something came."""

    @abstractmethod
    def framed(self) -> None:
        """Whole frames came, and no headers are incomplete."""

    @abstractmethod
    def data(self, id_: int, flags: int, data: bytes, start: int, end: int) -> None:
        """A DATA frame, whose payload lies in ``data``."""

    @abstractmethod
    def request(self, id_: int, block: bytes, whole: bool) -> None:
        """A header block; ``whole``: nothing follows on its stream."""

    @abstractmethod
    def control(self, kind: int, id_: int, flags: int, payload: bytes) -> None:
        """Any other frame."""

    @abstractmethod
    def reset(self, id_: int, code: Code) -> None:
        """A stream ends by a fault of the client."""

    @abstractmethod
    def fail(self, fault: ConnectionFault) -> None:
        """The connection ends by a fault of the client."""

    def get_buffer(self, _sizehint: int) -> memoryview:
        return _SCRATCH

    def buffer_updated(self, nbytes: int) -> None:
        if self.closed:
            return
        self.heard()
        rest = self._rest
        if rest:
            rest += _SCRATCH[:nbytes]
            if len(rest) < self._need:
                return
            data = bytes(rest)
            rest.clear()
        else:
            data = bytes(_SCRATCH[:nbytes])
        try:
            position = self._take(data)
        except ConnectionFault as fault:
            self.fail(fault)
            return
        if position and self._block is None:
            self.framed()
        if position < len(data):
            rest += data[position:]

    def _take(self, data: bytes) -> int:
        """Takes whole frames; tells where the first one begins that is not whole."""
        position, size = 0, len(data)
        if not self._greeted:
            position = self._greet(data)
            if not position:
                return 0
        while size - position >= HEAD_BYTES:
            high, low, kind, flags, id_ = HEAD.unpack_from(data, position)
            length = high << 16 | low
            if length > LARGEST_FRAME:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame larger than MAX_FRAME_SIZE")
            start = position + HEAD_BYTES
            end = start + length
            if end > size:
                self._need = HEAD_BYTES + length
                return position
            position = end
            id_ &= frames.STREAM_MASK
            try:
                if kind == frames.DATA and self._block is None and self.settled:
                    self.data(id_, flags, data, start, end)
                else:
                    self._frame(kind, flags, id_, data[start:end])
            except StreamFault as fault:
                self.reset(id_, fault.code)
            if self.closed:
                return size
        self._need = HEAD_BYTES
        return position

    def _greet(self, data: bytes) -> int:
        if len(data) < len(frames.PREFACE):
            if not frames.PREFACE.startswith(data):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "this port speaks HTTP/2")
            return 0
        if not data.startswith(frames.PREFACE):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "this port speaks HTTP/2")
        self._greeted = True
        return len(frames.PREFACE)

    def _frame(self, kind: int, flags: int, id_: int, payload: bytes) -> None:
        """Takes any frame but most of DATA."""
        if not self.settled and (kind != frames.SETTINGS or flags & frames.ACK):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if (self._block is not None) != (kind == frames.CONTINUATION):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "headers that do not end, or do not begin")
        if (kind in _OF_CONNECTION and id_) or (kind in _OF_STREAM and not id_):
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"a frame of type {kind} on stream {id_}")
        if _SIZES.get(kind, len(payload)) != len(payload):
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"a frame of type {kind} with {len(payload)} bytes")
        if kind == frames.HEADERS:
            self._headers(id_, flags, payload)
        elif kind == frames.CONTINUATION:
            self._continuation(id_, flags, payload)
        else:
            self.control(kind, id_, flags, payload)

    def _headers(self, id_: int, flags: int, payload: bytes) -> None:
        start, end = 0, len(payload)
        if flags & frames.PADDED:
            start, end = frames.padded(payload, start, end)
        if flags & frames.WITH_PRIORITY:
            start += 5
            if start > end:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "headers without their priority")
        block = payload if end - start == len(payload) else payload[start:end]
        if len(block) > LONGEST_BLOCK:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, f"headers of more than {LONGEST_BLOCK} bytes")
        whole = bool(flags & frames.END_STREAM)
        if flags & frames.END_HEADERS:
            self.request(id_, block, whole)
        else:
            self._block = _Block(id_, block, whole)

    def _continuation(self, id_: int, flags: int, payload: bytes) -> None:
        block = self._block
        if block is None or block.id != id_:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "headers that go on on another stream")
        block.data += payload
        block.frames += 1
        if len(block.data) > LONGEST_BLOCK or block.frames > _MOST_CONTINUATIONS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "headers that do not end")
        if flags & frames.END_HEADERS:
            self._block = None
            self.request(id_, block.data, block.whole)


class _Block:
    """Headers that come in several frames."""

    __slots__ = ("data", "frames", "id", "whole")

    def __init__(self, id: int, data: bytes, whole: bool) -> None:  # noqa: A002 -- the protocol's word
        self.id = id
        self.data = data
        self.whole = whole
        self.frames = 0
