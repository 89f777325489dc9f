# SPDX-License-Identifier: Apache-2.0
"""The life of one connection: how it begins, what it holds, when it has lasted too long, and how it ends.

It ends with GOAWAY, in peace when its last call has, or at once when the client breaks a rule. A client that does not read
what is written is not read from, and a silent one is asked whether it is still there.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from services.grpc_v2.http2 import frames
from services.grpc_v2.http2.allowance import Allowance
from services.grpc_v2.http2.frames import Code, ConnectionFault
from services.grpc_v2.http2.heads import LONGEST_LIST, Heads
from services.grpc_v2.http2.incoming import WINDOW, Incoming
from services.grpc_v2.http2.outbox import Outbox
from services.grpc_v2.http2.reader import LARGEST_FRAME, Reader
from services.grpc_v2.http2.shared import Shared

LINE_WINDOW: Final = 16 * 2**20  # bytes a client may send of all streams before they are looked at
_PING: Final = frames.frame(frames.PING, 0, 0, b"are-you?")


class Line(Reader):
    """One connection.

    Args:
        shared: What it shares with others.
    """

    def __init__(self, shared: Shared) -> None:
        Reader.__init__(self)
        self._shared = shared
        self._heads = Heads()
        self._streams: dict[int, Incoming] = {}
        self._last = 0  # the largest stream there was
        self._room = LINE_WINDOW
        self._debt = 0
        self._draining = False
        self._heard = self._busy = self._wrote = self._framed = shared.now  # ticks
        self._asked: int | None = None  # the tick of a ping of ours
        self._allowance = Allowance(
            2 * shared.options.connection_calls + 1000, shared.options.ping_interval_s, shared.loop.time
        )
        self._transport = cast(asyncio.Transport, None)
        self._outbox = cast(Outbox, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outbox = Outbox(self._transport, self._shared.loop)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != "h2":
            self.closed = True
            self._transport.close()
            return
        self._shared.enter(self)
        self._outbox.put(
            frames.settings(
                {
                    frames.MAX_STREAMS: self._shared.options.connection_calls,
                    frames.INITIAL_WINDOW: WINDOW,
                    frames.MAX_FRAME: LARGEST_FRAME,
                    frames.MAX_HEADER_LIST: LONGEST_LIST,
                }
            )
        )
        self._outbox.put(frames.window_update(0, LINE_WINDOW - frames.DEFAULT_WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed = True
        self._shared.leave(self)
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._forget(stream)

    def eof_received(self) -> None:
        """The client sends no more; the transport closes itself and ``connection_lost`` follows."""

    def pause_writing(self) -> None:
        self._outbox.paused = True
        self._wrote = self._shared.now
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._wrote = self._shared.now
        self._outbox.resume()
        self._transport.resume_reading()

    def heard(self) -> None:
        """See :class:`services.grpc_v2.http2.reader.Reader`."""
        self._heard = self._shared.now
        self._asked = None

    def framed(self) -> None:
        """See :class:`services.grpc_v2.http2.reader.Reader`."""
        self._framed = self._heard

    def ended(self, id_: int) -> None:
        """See :class:`services.grpc_v2.http2.stream.Owner`."""
        stream = self._streams.get(id_)
        if stream is None:
            return
        if stream.whole:
            del self._streams[id_]
        self._allowance.answered += 1
        self._forget(stream)
        if self._draining:
            self._end_if_drained()
        elif not self._streams:  # there is nothing to wait for
            self._outbox.flush()

    def _release(self, stream: Incoming) -> None:
        """Lets go of a stream that was answered before its client had sent all; until then it may still end it itself."""
        if self._streams.pop(stream.id, None) is not None and not stream.whole:
            self._outbox.put(frames.reset(stream.id, Code.NO_ERROR))

    def _forget(self, stream: Incoming) -> None:
        if stream.counted:
            stream.counted = False
            self._shared.calls -= 1
        self._busy = self._shared.now
        stream.close()

    def reset(self, id_: int, code: Code) -> None:
        """See :class:`services.grpc_v2.http2.reader.Reader`."""
        self._outbox.put(frames.reset(id_, code))
        stream = self._streams.pop(id_, None)
        if stream is not None:
            self._forget(stream)
            self._end_if_drained()
            self._allowance.spend()

    def fail(self, fault: ConnectionFault) -> None:
        """See :class:`services.grpc_v2.http2.reader.Reader`."""
        self._end(fault.code, str(fault))

    def _end(self, code: Code, why: str) -> None:
        """Ends the connection and every call of it."""
        self.closed = True
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            self._outbox.put(frames.reset(stream.id, Code.CANCEL))
            self._forget(stream)
        self._outbox.put(frames.goaway(self._last, code, why))
        self._close(at_once=True)

    def drain(self) -> None:
        """Takes no further call, and ends with the last one."""
        if self.closed or self._draining:
            return
        self._draining = True
        self._outbox.put(frames.goaway(self._last, Code.NO_ERROR))
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        if self._draining and not self.closed and all(stream.closed for stream in self._streams.values()):
            self._close(at_once=False)

    def _close(self, *, at_once: bool) -> None:
        self.closed = True
        self._outbox.close(at_once=at_once)
        self._transport.resume_reading()  # and ignores what comes

    def stop(self) -> None:
        """Ends now."""
        if not self.closed:
            self._end(Code.NO_ERROR, "the service is ending")
        if self._outbox.paused:
            self._transport.abort()
        else:
            self._transport.close()

    def tick(self) -> None:
        """See :class:`services.grpc_v2.http2.shared.Ticking`."""
        shared, outbox = self._shared, self._outbox
        now = shared.now
        if outbox.moved or not (outbox.waiting or outbox.paused or self.closed):
            outbox.moved, self._wrote = False, now
        stuck = shared.whole_body_ticks if outbox.waiting else shared.body_ticks
        if now - self._wrote > stuck or (self._asked is not None and now - self._asked > shared.ping_ticks):
            self._transport.abort()
        elif self.closed:
            pass
        elif self.unfinished and now - self._framed > shared.body_ticks:
            self._end(Code.PROTOCOL_ERROR, "a frame or headers that do not end")
        elif not self._streams and now - self._busy > shared.idle_ticks:
            self.drain()
        else:
            if self._asked is None and now - self._heard > shared.silent_ticks:
                self._asked = now
                outbox.put(_PING)
            for stream in tuple(self._streams.values()):
                if stream.closed:
                    self._release(stream)
                else:
                    stream.tick(shared)
