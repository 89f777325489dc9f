# SPDX-License-Identifier: Apache-2.0
"""Uvicorn's own protocol, for the requests that go through the ASGI application.

It has no timer of its own: the connection is told when it is idle and when it is not. A head that follows another request,
trailers and the extensions of chunks may be as long as a head, not longer. Trailers are not headers: what a client sends
behind its body is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.front.heads import LONGEST_HEAD


class Inner(HttpToolsProtocol):
    """Knows whether it is between two requests; offers no WebSocket.

    Args:
        config: Uvicorn's configuration.
        server_state: What uvicorn keeps of all connections.
        app_state: The lifespan state.
        loop: For its tasks; None: the running one.
        idle: Told when everything whose head was complete is answered, even if the client is still sending.
        busy: Told when the head of a request is complete.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        *,
        idle: Callable[[], None],
        busy: Callable[[], None],
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self._idle = idle
        self._busy = busy
        self._open = False  # a request has begun and is not complete
        self._in_head = False
        self._overhead = 0  # bytes received since the last of a body, or the end of a request

    def data_received(self, data: bytes) -> None:
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > LONGEST_HEAD:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._open = self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._busy()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._open = False
        self._overhead = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()
        if self.cycle.response_complete:
            self._idle()

    def _should_upgrade_to_ws(self) -> bool:
        return False  # nothing here speaks it

    @property
    def answering(self) -> bool:
        """Whether a request whose head is complete was not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def between(self) -> bool:
        """Whether every request was received and answered."""
        return not self._open and not self.answering and not self.pipeline
