# SPDX-License-Identifier: Apache-2.0
"""What one protocol edge over HTTP provides to the application that hosts it."""

from __future__ import annotations

import math
from typing import Protocol

from core.errors import ErrorCode, FuroshikiError, InvalidRequest, OperatorError
from services.edge.context import Principal
from services.edge.http import Exchange, Headers
from services.edge.status import http_status

Problem = tuple[int, bytes, Headers]


class Edge(Protocol):
    """One protocol under one path prefix."""

    @property
    def prefix(self) -> str:
        """The path it owns: ``/v2`` answers ``/v2`` and everything below ``/v2/``."""
        ...

    async def public(self, exchange: Exchange) -> bool:
        """Answers what needs no credential; False if this is not such a request."""
        ...

    async def handle(self, exchange: Exchange, principal: Principal) -> None:
        """Answers one authenticated request, or raises a :class:`FuroshikiError`."""
        ...

    def problem(self, error: FuroshikiError, request_id: str, accept: bytes | None = None) -> Problem:
        """Status, body and headers of an error in this protocol's form; of its media types, one that ``accept`` allows."""
        ...


def error_headers(error: FuroshikiError) -> Headers:
    """The headers every HTTP edge adds to an error: its code, when to come back, what else to try."""
    headers: Headers = [(b"content-type", b"application/json"), (b"x-furoshiki-error", error.code.encode("ascii"))]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    if http_status(error.code) == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if "allow" in error.details:
        headers.append((b"allow", str(error.details["allow"]).encode("ascii")))
    return headers


def require_method(exchange: Exchange, method: str) -> None:
    """Raises ``VALID_007`` unless the request uses ``method`` (HEAD counts as GET)."""
    if exchange.method != method and not (exchange.method == "HEAD" and method == "GET"):
        raise InvalidRequest(
            ErrorCode.METHOD_NOT_ALLOWED,
            f"{exchange.method} is not allowed on {exchange.path[:200]}; use {method}.",
            details={"allow": "GET, HEAD" if method == "GET" else method},
        )


def no_route(exchange: Exchange) -> InvalidRequest:
    """The error for a path no edge knows."""
    return InvalidRequest(ErrorCode.ROUTE_NOT_FOUND, f"There is no route {exchange.path[:200]!r}.")


def unexpected() -> OperatorError:
    """What a caller is told of a fault nobody expected; its text goes to the log only."""
    return OperatorError(
        ErrorCode.INTERNAL, "The service failed unexpectedly; quote the request id when you report it."
    )
