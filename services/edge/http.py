# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange over raw ASGI: no framework on the hot path, nothing allocated that is not sent.

``Exchange`` reads the body within a limit, answers once, and can cancel its own task when the client hangs up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from core.errors import ErrorCode, InvalidRequest
from services.edge.context import request_id

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
BINARY: Final = (b"content-type", b"application/octet-stream")

_PATIENCE_S: Final = 0.05  # a request that ends sooner is not worth watching for a hang-up


class ClientGone(Exception):
    """The client closed the connection before its request was complete; nobody is left to answer."""


class Exchange:
    """One request and its answer.

    ``status`` and ``sent_bytes`` tell what was answered; ``status`` is 0 as long as nothing was.
    """

    __slots__ = (
        "_receive",
        "_send",
        "headers",
        "method",
        "path",
        "received_bytes",
        "request_id",
        "sent_bytes",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id(self.headers.get(b"x-request-id"))
        self.received_bytes = 0
        self.sent_bytes = 0
        self.status = 0

    async def body(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            InvalidRequest: ``VALID_003`` beyond ``limit`` bytes, before they are buffered.
            ClientGone: If the client hangs up before the end.
        """
        declared = self.headers.get(b"content-length")
        if declared is not None and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
            raise _too_large(limit)
        message = await self._next()
        data: bytes = message.get("body", b"")
        if message.get("more_body"):
            data = await self._rest(data, limit)
        self.received_bytes = len(data)
        if len(data) > limit:
            raise _too_large(limit)
        return data

    async def _rest(self, first: bytes, limit: int) -> bytes:
        chunks = [first]
        size = len(first)
        more = True
        while more:
            message = await self._next()
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """Sends the whole answer; adds the length and the request id."""
        self.status = status
        self.sent_bytes = len(body)
        headers.append((b"content-length", b"%d" % len(body)))
        headers.append((b"x-request-id", self.request_id.encode("ascii")))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})

    def cancelled_on_hang_up(self) -> HangUp:
        """A block that is cancelled when the client hangs up inside it; it then raises :class:`ClientGone`.

        The body must have been read.
        """
        return HangUp(self._receive)


class HangUp:
    """Watches a connection while a block runs. A block that ends within ``_PATIENCE_S`` costs one timer."""

    __slots__ = ("_gone", "_receive", "_timer", "_waiting", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._waiting = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._start)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._gone and isinstance(error, asyncio.CancelledError):
            raise ClientGone from None

    def _start(self) -> None:
        self._watcher = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._waiting is not None:
            self._gone = True
            self._waiting.cancel()


def _too_large(limit: int) -> InvalidRequest:
    return InvalidRequest(ErrorCode.TOO_LARGE, f"The body exceeds {limit} bytes.", details={"limit": limit})
