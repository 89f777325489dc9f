# SPDX-License-Identifier: Apache-2.0
"""One HTTP connection: inference requests are answered here, everything else by uvicorn's own protocol.

``FrontProtocol`` stands where uvicorn expects its protocol. It cuts what arrives at the end of a head. A plain inference
request (see :mod:`services.front.heads`) becomes a :class:`services.front.call.Call`; any other request goes, byte for byte,
to uvicorn's ``HttpToolsProtocol`` until its answer is complete, and the ASGI application sees no difference.

Rules. One request is under way at a time; what a client sends ahead waits, and reading stops. A body in parts is received
into its final place and counted among all bodies under way. A head must be complete within ``timeout_keep_alive`` to twice
that, and a body may not pause for ``body_idle_s``. A client that hangs up cancels its request; one that does not read its
answers is not read from.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from core.errors import FuroshikiError
from services.edge.bodies import Body
from services.edge.http import stalled
from services.front.arrival import Arrival
from services.front.call import Call
from services.front.heads import END, LONGEST_HEAD, PREFIX, Head, without_upgrade
from services.front.inner import Inner
from services.front.shared import HEAD_TOO_LARGE, STATE, STATUS_LINES, Front
from services.front.unread import Unread

_SCRATCH: Final = memoryview(bytearray(2**18))  # what every connection receives into; emptied before the next does


class FrontProtocol(asyncio.BufferedProtocol):
    """One connection; made by uvicorn.

    Args:
        config: Uvicorn's configuration.
        server_state: What uvicorn keeps of all connections.
        app_state: The lifespan state; holds the :class:`Front` under ``STATE``.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._front: Front = app_state[STATE]
        self._idle = self._front.idle(config.timeout_keep_alive)
        self._server_state = server_state
        self._make_inner = partial(Inner, config, server_state, app_state, _loop, idle=self._idles, busy=self._works)
        self._inner: Inner | None = None
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._raw = b""  # the head of a request whose body is being received
        self._call: Call | None = None  # being received or answered
        self._arrival: Arrival | None = None  # of its body, if that comes in parts
        self._rest = b""  # received and not looked at: a part of a head, or what was sent ahead
        self._unread: Unread | None = None  # answers, while the client does not read them
        self._last = False  # the connection ends with the answer under way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server_state.connections.add(cast(Any, self))
        self._idle.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server_state.connections.discard(cast(Any, self))
        self._idle.leave(self)
        self._forget_body()
        if self._call is not None:
            self._call.gone()
            self._call = None
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return _SCRATCH if self._arrival is None else self._arrival.free

    def buffer_updated(self, nbytes: int) -> None:
        if self._arrival is None:
            self._received(bytes(_SCRATCH[:nbytes]))
        else:
            self._more_body(self._arrival, nbytes)

    def _received(self, data: bytes) -> None:
        inner = self._inner
        if inner is not None and not inner.between:
            inner.data_received(data)
        elif self._call is not None or self._unread:
            self._rest += data
            self._transport.pause_reading()
        else:
            self._next(self._rest + data if self._rest else data)

    def _next(self, data: bytes) -> None:
        """Takes what begins with a head."""
        end = data.find(END)
        if end < 0 and len(data) <= LONGEST_HEAD:
            self._rest = data
            return
        self._rest = b""
        self._idle.leave(self)
        if not 0 <= end <= LONGEST_HEAD:
            self._transport.write(HEAD_TOO_LARGE)
            self._transport.close()
            return
        end += len(END)
        raw = data[:end]
        if not raw.startswith(PREFIX) or not self._begin(raw, data, end):
            self._delegate(without_upgrade(raw) + data[end:])

    def _begin(self, raw: bytes, data: bytes, end: int) -> bool:
        """Begins an inference request; False if this is not one, or not one to be answered here."""
        front = self._front
        head = front.heads.find(raw)
        if head is None or head.length > front.body_bytes:
            return False
        principal = front.service.authenticator.known(head.headers)
        if principal is None:
            return False
        self._call = Call(front.service, self, principal, head)
        whole = end + head.length
        if len(data) >= whole:
            self._rest = data[whole:]
            self._start(raw, data[end:whole])
        else:
            self._receive(raw, head, data[end:])
        return True

    def _start(self, raw: bytes, body: Body) -> None:
        if self._call is not None and not self._call.start(body):
            self._call = None
            rest, self._rest = self._rest, b""
            self._delegate(b"".join((raw, body, rest)))

    def _delegate(self, data: bytes) -> None:
        if self._inner is None:
            self._inner = self._make_inner()
            self._inner.connection_made(self._transport)
            self._server_state.connections.discard(self._inner)  # this connection is counted once
        self._inner.data_received(data)

    def _receive(self, raw: bytes, head: Head, part: bytes) -> None:
        """Begins to receive a body that comes in parts."""
        front = self._front
        self._raw = raw
        self._arrival = arrival = Arrival(head, front.bodies, front.service.limits)
        arrival.free[: len(part)] = part
        front.stalled.enter(self)
        self._more_body(arrival, len(part))

    def _more_body(self, arrival: Arrival, nbytes: int) -> None:
        try:
            complete = arrival.received(nbytes)
        except FuroshikiError as error:
            self._refuse_body(error)
            return
        if complete:
            self._forget_body()
            self._start(self._raw, arrival.body)
        else:
            self._front.stalled.leave(self)
            self._front.stalled.enter(self)

    def _forget_body(self) -> None:
        if self._arrival is not None:
            self._front.stalled.leave(self)
            self._arrival.close()
            self._arrival = None

    def _refuse_body(self, error: FuroshikiError) -> None:
        """Answers before the body is complete; what is still to come cannot be told from a next request."""
        self._last = True
        self._forget_body()
        if self._call is not None:
            self._call.refuse(error)

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """See :class:`services.front.call.Connection`."""
        transport = self._transport
        lines = self._front.lines(self._server_state.default_headers)
        end = b"connection: close\r\n\r\n" if self._last else b"\r\n"
        transport.write(
            b"%b%bcontent-length: %d\r\n%b%b%b" % (STATUS_LINES[status], lines, len(body), headers, end, body)
        )
        self._call = None
        self._server_state.total_requests += 1
        self._idles()
        if self._last:
            transport.close()
            return
        if self._rest and not self._unread:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _idles(self) -> None:
        """From now on the client's time counts: everything was answered, or it does not read."""
        self._idle.leave(self)
        self._idle.enter(self)

    def _works(self) -> None:
        """The time that is passing is ours, unless the client does not read."""
        if not self._unread:
            self._idle.leave(self)

    def _go_on(self) -> None:
        """Takes what was sent ahead, and reads again."""
        if self._call is not None or self._unread or self._transport.is_closing():
            return
        self._transport.resume_reading()
        if self._rest:
            self._next(self._rest)

    def pause_writing(self) -> None:
        self._unread = Unread(self._transport)
        self._idles()
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._unread = None
        if self._inner is not None:
            if self._inner.answering:
                self._works()
            self._inner.resume_writing()
        if self._rest:
            self._go_on()

    def shutdown(self) -> None:
        """Uvicorn's request to end: at once when nothing is under way, else with the answer."""
        if self._call is not None:
            self._last = True
        elif self._inner is not None and not self._inner.between:
            self._inner.shutdown()
        else:
            self._transport.close()

    def overdue(self) -> None:
        """Silent for too long: between requests, in a head, in a body or in reading."""
        if self._arrival is not None:
            self._refuse_body(stalled(self._front.service.limits.body_idle_s))
        elif self._unread is None:
            self._transport.close()
        elif self._unread.shrinks():
            self._idle.enter(self)
        else:
            self._transport.abort()  # closing would wait for its reading for ever
