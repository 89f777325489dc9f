# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange over raw ASGI: no framework on the hot path, nothing allocated that is not sent.

``Exchange`` reads the body within a limit, inflates it if it is compressed, refuses one that stalls or drips, answers once,
and can cancel its own task when the client hangs up. A body that comes in one message costs no timer and no accounting; one
that comes in several is not copied again when it is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from core.errors import DeadlineExceeded, ErrorCode, InvalidRequest
from services.edge import compression
from services.edge.bodies import Body, BodyBudget
from services.edge.context import request_id
from services.edge.limits import EdgeLimits
from services.edge.sweeper import Sweeper

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
BINARY: Final = (b"content-type", b"application/octet-stream")

_ALIGNMENT: Final = 16  # of data in a body that was received in parts: what a bytearray begins at
_PATIENCE_S: Final = 0.05  # a request that ends sooner is not worth watching for a hang-up


class ClientGone(Exception):
    """The client closed the connection before its request was complete; nobody is left to answer."""


class Shared:
    """What the exchanges of one application share.

    Args:
        limits: What all of them may hold.
    """

    __slots__ = ("bodies", "hang_ups")

    def __init__(self, limits: EdgeLimits) -> None:
        self.bodies = BodyBudget(limits.bodies_bytes)
        self.hang_ups = Sweeper(_PATIENCE_S)


class Exchange:
    """One request and its answer.

    ``status`` and ``sent_bytes`` tell what was answered; ``status`` is 0 as long as nothing was.
    """

    __slots__ = (
        "_receive",
        "_send",
        "_shared",
        "headers",
        "method",
        "path",
        "received_bytes",
        "request_id",
        "sent_bytes",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, shared: Shared) -> None:
        self._receive = receive
        self._send = send
        self._shared = shared
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = request_id(self.headers.get(b"x-request-id"))
        self.received_bytes = 0
        self.sent_bytes = 0
        self.status = 0

    async def body(self, limits: EdgeLimits, *, align: int = 0) -> Body:
        """The whole body, inflated if it is compressed.

        Args:
            limits: What is accepted.
            align: Offset of data that is best read from an aligned address, if the body comes in several messages.

        Raises:
            InvalidRequest: ``VALID_003`` beyond ``limits.body_bytes``, before they are buffered; ``VALID_004`` or
                ``VALID_001`` if its compression is not supported or damaged.
            Overloaded: ``QUEUE_001`` if all bodies in several messages together would exceed what is set aside for them.
            DeadlineExceeded: ``TIMEOUT_001`` if a part has come and the next does not within ``limits.body_idle_s``, or the
                whole not within ``limits.body_s``.
            ClientGone: If the client hangs up before the end.
        """
        coding = compression.coding_of(self.headers.get(b"content-encoding"))
        limit = limits.body_bytes
        declared = self.headers.get(b"content-length")
        if declared is not None and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
            raise _too_large(limit)
        message = await self._next()
        data: Body
        if message.get("more_body"):
            data = await self._whole(message, limits, -align % _ALIGNMENT)
        else:
            data = message.get("body", b"")
        self.received_bytes = len(data)
        if len(data) > limit:
            raise _too_large(limit)
        return data if coding is None else await compression.inflate(data, coding, limit=limit)

    async def _whole(self, message: Message, limits: EdgeLimits, padding: int) -> memoryview:
        loop, budget = asyncio.get_running_loop(), self._shared.bodies
        data = bytearray(padding)
        taken = 0
        end = loop.time() + limits.body_s
        try:
            async with asyncio.timeout(limits.body_idle_s) as patience:
                while True:
                    chunk: bytes = message.get("body", b"")
                    if taken + len(chunk) > limits.body_bytes:
                        raise _too_large(limits.body_bytes)
                    budget.take(len(chunk))
                    taken += len(chunk)
                    data += chunk
                    if not message.get("more_body"):
                        return memoryview(data)[padding:]
                    patience.reschedule(min(loop.time() + limits.body_idle_s, end))
                    message = await self._next()
        except TimeoutError:
            raise (stalled(limits.body_idle_s) if loop.time() < end else dripped(limits.body_s)) from None
        finally:
            budget.give(taken)

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    async def answer_compressed(self, status: int, body: bytes, headers: Headers, *, least: int) -> None:
        """Sends the whole answer, compressed if the client accepts that and it has at least ``least`` bytes."""
        if len(body) >= least:
            coding = compression.accepted(self.headers.get(b"accept-encoding"))
            if coding is not None:
                body = await compression.deflate(body, coding)
                headers.append((b"content-encoding", coding.label.encode("ascii")))
        await self.answer(status, body, headers)

    async def answer(self, status: int, body: bytes, headers: Headers) -> None:
        """Sends the whole answer; adds the length and the request id.

        Raises:
            ClientGone: If the server says that the client hung up.
        """
        self.status = status
        self.sent_bytes = len(body)
        headers.append((b"content-length", b"%d" % len(body)))
        headers.append((b"x-request-id", self.request_id.encode("ascii")))
        try:
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})
        except OSError:
            raise ClientGone from None

    def cancelled_on_hang_up(self) -> HangUp:
        """A block that is cancelled when the client hangs up inside it; it then raises :class:`ClientGone`.

        The body must have been read.
        """
        return HangUp(self._receive, self._shared.hang_ups)


class HangUp:
    """Watches a connection while a block runs, if the block takes longer than ``_PATIENCE_S``."""

    __slots__ = ("_gone", "_receive", "_sweeper", "_waiting", "_watcher")

    def __init__(self, receive: Receive, sweeper: Sweeper) -> None:
        self._receive = receive
        self._sweeper = sweeper
        self._gone = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._waiting = asyncio.current_task()
        self._sweeper.enter(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._sweeper.leave(self)
        if self._watcher is not None:
            self._watcher.cancel()
        if self._gone and isinstance(error, asyncio.CancelledError):
            raise ClientGone from None

    def overdue(self) -> None:
        """Begins to watch."""
        self._watcher = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and self._waiting is not None:
            self._gone = True
            self._waiting.cancel()


def _too_large(limit: int) -> InvalidRequest:
    return InvalidRequest(ErrorCode.TOO_LARGE, f"The body exceeds {limit} bytes.", details={"limit": limit})


def stalled(idle_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        ErrorCode.TIMEOUT, f"Nothing of the body arrived for {idle_s:g} s; send it without a pause.", retry_after=1.0
    )


def dripped(body_s: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        ErrorCode.TIMEOUT, f"The body did not arrive within {body_s:g} s; send it faster.", retry_after=1.0
    )
