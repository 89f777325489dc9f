# SPDX-License-Identifier: Apache-2.0
"""The outermost layer of every request: its id, its log line, its metrics, and the answer to faults of ours.

A caller's ``X-Request-ID`` is kept if it is harmless in a log; otherwise one is made. It is in every response, every error
and every log event of the request.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.clock import Clock
from core.telemetry.logs import get_logger
from core.telemetry.metrics import REGISTRY_REQUESTS, REGISTRY_SECONDS
from registry_api.http.problem import internal_error, problem_response

REQUEST_ID: Final = "X-Request-ID"
_HARMLESS: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNANSWERED: Final = 0  # status in the log of a request whose caller left before an answer

_log = get_logger(__name__)


class RequestContext:
    """ASGI middleware; see the module.

    Args:
        app: What is wrapped.
        clock: For request times.
        prefix: Under which routers are included; their routes do not know it.
    """

    def __init__(self, app: ASGIApp, *, clock: Clock, prefix: str) -> None:
        self._app = app
        self._clock = clock
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        started = self._clock.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, answer.send)
            except Exception:
                _log.exception("request_crashed", method=scope["method"], path=scope["path"])
                if answer.status == _UNANSWERED:
                    await problem_response(internal_error(), request_id)(scope, receive, answer.send)
            finally:
                self._record(scope, answer.status, self._clock.monotonic() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _KNOWN_METHODS else "other"
        route = self._template(scope)
        REGISTRY_REQUESTS.labels(method, route, str(status)).inc()
        REGISTRY_SECONDS.labels(method, route).observe(seconds)
        milliseconds = round(seconds * 1000, 2)
        _log.info("request", method=method, path=scope["path"][:200], status=status, milliseconds=milliseconds)

    def _template(self, scope: Scope) -> str:
        """The route's template, so that no caller can make new label values; ``none`` if no route matched."""
        path = getattr(scope.get("route"), "path", None)
        if path is None:
            return "none"
        return f"{self._prefix}{path}" if scope["path"].startswith(f"{self._prefix}/") else str(path)


class _Answer:
    """Passes the response on, adds the request id and remembers the status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = _UNANSWERED

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[REQUEST_ID] = self._request_id
        await self._send(message)


def _request_id(headers: Headers) -> str:
    offered = headers.get(REQUEST_ID, "")
    return offered if _HARMLESS.fullmatch(offered) else uuid.uuid4().hex
