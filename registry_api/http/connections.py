# SPDX-License-Identifier: Apache-2.0
"""One connection, bounded before there is a request: uvicorn's own protocol limits neither the size of a head nor its time.

Rules. Whatever arrives and is neither a whole head nor a piece of a body counts: headers, trailers, the extensions of
chunks. More than ``MOST_BYTES`` of it is 431 and the end. A connection on which no request is under way ends as well: a new
one after ``HEAD_SECONDS``, an old one so much later than its keep-alive. Bodies are bounded by
:mod:`registry_api.http.body`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 30.0

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedConnection(HttpToolsProtocol):
    """See the module. uvicorn makes one for each connection."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._unread = 0  # bytes since the parser last had something whole
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MOST_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._unread = 0
        super().on_headers_complete()
        self.headers = []  # trailers go there: they are no headers of the request

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait(self.timeout_keep_alive + HEAD_SECONDS)

    def _wait(self, seconds: float) -> None:
        """Gives the next head so long to be there."""
        if self._end is not None:
            self._end.cancel()
        self._end = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
