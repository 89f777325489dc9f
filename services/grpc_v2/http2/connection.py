# SPDX-License-Identifier: Apache-2.0
"""One HTTP/2 connection of a server (RFC 9113): what each frame does.

Rules. Whatever the client does wrong ends the stream or the connection with the code the RFC names for it, and every
resource it can make the server hold is bounded: streams, the bytes of headers and of messages, frames that bring no call,
answers it does not read, and the time for all of these. A client that does not read what is written is not read from. One
that hangs up ends its calls at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from grpc import StatusCode

from services.grpc_v2.http2 import frames
from services.grpc_v2.http2.frames import Code, ConnectionFault, StreamFault
from services.grpc_v2.http2.heads import LONGEST_LIST, Head
from services.grpc_v2.http2.incoming import Incoming
from services.grpc_v2.http2.line import LINE_WINDOW, Line

_MOST_SETTINGS: Final = 64  # of one frame that are looked at


class Connection(Line):
    """One connection.

    Args:
        shared: What it shares with others.
    """

    def control(self, kind: int, id_: int, flags: int, payload: bytes) -> None:
        """See :class:`services.grpc_v2.http2.reader.Reader`."""
        self._others.get(kind, Connection._ignored)(self, id_, flags, payload)

    def data(self, id_: int, flags: int, data: bytes, start: int, end: int) -> None:
        """See :class:`services.grpc_v2.http2.reader.Reader`."""
        size = end - start
        self._room -= size
        if self._room < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more data than the connection's window")
        self._debt += size
        if self._debt >= LINE_WINDOW // 2:
            self._outbox.put(frames.window_update(0, self._debt))
            self._room += self._debt
            self._debt = 0
        if flags & frames.PADDED:
            start, end = frames.padded(data, start, end)
        stream = self._streams.get(id_)
        last = bool(flags & frames.END_STREAM)
        if stream is None:
            self._unknown(id_)
            raise StreamFault(Code.STREAM_CLOSED)
        if start == end and not last:
            self._allowance.spend()
        else:
            stream.heard = self._shared.now
        stream.receive(data, start, end, last=last, size=size)
        if stream.closed:
            self._release(stream)

    def _unknown(self, id_: int) -> None:
        """A frame on a stream that has ended is legal and costs; one on a stream that never began is not."""
        if not id_ & 1 or id_ > self._last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"a frame on stream {id_}, which is idle")
        self._allowance.spend()

    def request(self, id_: int, block: bytes, whole: bool) -> None:
        """See :class:`services.grpc_v2.http2.reader.Reader`."""
        head = self._heads.read(block)  # always: the next block refers to what this one says
        stream = self._streams.get(id_)
        if stream is not None:
            if not whole:
                raise StreamFault(Code.PROTOCOL_ERROR)
            stream.end_input()
            if stream.closed:
                self._release(stream)
            return
        if id_ <= self._last:
            self._unknown(id_)
            raise StreamFault(Code.STREAM_CLOSED)
        if not id_ & 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "clients open streams of odd numbers")
        self._last = id_
        shared = self._shared
        if (
            self._draining
            or len(self._streams) >= shared.options.connection_calls
            or self._outbox.waiting > shared.most_waiting
        ):
            self._allowance.spend()
            raise StreamFault(Code.REFUSED_STREAM)
        if not head.status:
            self._allowance.spend()
            raise StreamFault(Code.PROTOCOL_ERROR)
        self._open(id_, head, whole)

    def _open(self, id_: int, head: Head, whole: bool) -> None:
        shared = self._shared
        stream = Incoming(id_, head, self, self._outbox, most=shared.limits.body_bytes, budget=shared.budget)
        stream.heard = stream.began = shared.now
        self._streams[id_] = stream
        method = shared.methods.get(head.path)
        if head.status != 200:
            stream.whole = whole
            stream.refuse_http(head.status)
        elif head.size > LONGEST_LIST:
            stream.whole = whole
            stream.refuse(StatusCode.RESOURCE_EXHAUSTED, f"The metadata has more than {LONGEST_LIST} bytes.")
        elif method is None:
            stream.whole = whole
            stream.refuse(StatusCode.UNIMPLEMENTED, "Method not found!")
        elif shared.calls >= shared.options.calls:
            stream.whole = whole
            stream.refuse(StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
        else:
            stream.counted = True
            shared.calls += 1
            stream.open(method, whole=whole)

    def _rst_stream(self, id_: int, _flags: int, _payload: bytes) -> None:
        stream = self._streams.pop(id_, None)
        if stream is None:
            self._unknown(id_)
            return
        self._forget(stream)
        self._end_if_drained()
        self._allowance.spend()

    def _settings(self, _id: int, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "an acknowledgement with a payload")
            return
        if len(payload) % 6:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "settings that are cut off")
        self._allowance.spend()
        self.settled = True
        for key, value in dict(frames.pairs(payload[: 6 * _MOST_SETTINGS])).items():
            self._outbox.configure(key, value, self._streams.values())
        self._outbox.put(frames.SETTINGS_ACK)

    def _ping(self, _id: int, flags: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            if self._outbox.wrote:
                self._outbox.wrote = False
                self._allowance.wrote()
            self._allowance.ping()
            self._outbox.put(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _window_update(self, id_: int, _flags: int, payload: bytes) -> None:
        size = int.from_bytes(payload, "big") & frames.STREAM_MASK
        if not id_:
            self._outbox.widen(size)
            return
        stream = self._streams.get(id_)
        if stream is not None:
            self._outbox.widen_stream(stream, size)
        elif not id_ & 1 or id_ > self._last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"a window update of stream {id_}, which is idle")

    def _goaway(self, _id: int, _flags: int, _payload: bytes) -> None:
        self._allowance.spend()
        self.drain()

    def _push_promise(self, _id: int, _flags: int, _payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "clients do not push")

    def _ignored(self, _id: int, _flags: int, _payload: bytes) -> None:
        self._allowance.spend()

    _others: ClassVar[dict[int, Callable[[Connection, int, int, bytes], None]]] = {
        frames.WINDOW_UPDATE: _window_update,
        frames.RST_STREAM: _rst_stream,
        frames.SETTINGS: _settings,
        frames.PING: _ping,
        frames.GOAWAY: _goaway,
        frames.PUSH_PROMISE: _push_promise,
    }
