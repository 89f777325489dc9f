# SPDX-License-Identifier: Apache-2.0
"""Bounds request bodies before any parser sees them.

Every body is small, shallow and soon there, except where a path takes a file: those are streamed and bounded by what their
upload declares. A compressed body is refused: its real size would be unknown. All this comes before authentication.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final, NoReturn

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import DeadlineExceeded, ErrorCode, FuroshikiError, InvalidRequest
from core.telemetry.logs import get_logger
from registry_api.http.problem import problem_response

_OPENING: Final = frozenset(b"[{")
_CLOSING: Final = frozenset(b"]}")
_OTHERS: Final = bytes(code for code in range(256) if code not in b"[]{}")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")

_log = get_logger(__name__)


class BodyGuard:
    """ASGI middleware; see the module.

    Args:
        app: What is guarded.
        max_bytes: The largest body that is not a file.
        max_depth: The deepest nesting of arrays and objects in it.
        max_seconds: The longest time it may take to arrive.
        streams: Whole paths that take a file by PUT.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, max_depth: int, max_seconds: float, streams: Sequence[re.Pattern[str]]
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._max_seconds = max_seconds
        self._streams = tuple(streams)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            receive = await self._guarded(scope, receive)
        except FuroshikiError as error:
            response = problem_response(error, scope["state"]["request_id"])
            response.headers["Connection"] = "close"  # the rest of the body is not worth reading
            await response(scope, receive, send)
            return
        except ClientDisconnect:
            _log.info("caller_left", method=scope["method"], path=scope["path"])
            return
        await self._app(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive) -> Receive:
        headers = Headers(scope=scope)
        length = _content_length(headers)
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise InvalidRequest(
                ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding is not supported; send plain bytes."
            )
        if self._takes_file(scope) or (length in (None, 0) and "transfer-encoding" not in headers):
            return receive
        if length is not None and length > self._max_bytes:
            self._too_large()
        body = await self._read_in_time(receive)
        if json_depth(body) > self._max_depth:
            raise InvalidRequest(ErrorCode.MALFORMED, f"The body nests deeper than {self._max_depth} levels.")
        return _replay(body, receive)

    def _takes_file(self, scope: Scope) -> bool:
        return scope["method"] == "PUT" and any(pattern.fullmatch(scope["path"]) for pattern in self._streams)

    async def _read_in_time(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._max_seconds):
                return await self._read(receive)
        except TimeoutError:
            raise DeadlineExceeded(
                ErrorCode.TIMEOUT, f"The body did not arrive within {self._max_seconds:g} s. Send the request again."
            ) from None

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> NoReturn:
        raise InvalidRequest(ErrorCode.TOO_LARGE, f"The body is too large; the limit is {self._max_bytes} bytes.")


def json_depth(body: bytes) -> int:
    """How deep arrays and objects nest in ``body``, whether or not it is valid JSON.

    Takes linear time and at most some 50 bytes of memory per byte: it comes before authentication. What follows the first
    byte that no JSON has may be measured wrongly; no parser gets there.
    """
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(unescaped.split(b'"')[::2])
    depth = deepest = 0
    for code in outside.translate(None, _OTHERS):
        if code in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif code in _CLOSING:
            depth -= 1
    return deepest


def _content_length(headers: Headers) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if _LENGTH.fullmatch(text) is None:
        raise InvalidRequest(ErrorCode.MALFORMED, "Content-Length is not a whole number.")
    return int(text)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
