# SPDX-License-Identifier: Apache-2.0
"""Strong ETags: the digest of the very bytes that are sent, so they are right whatever a representation grows to hold.

Every ``GET`` that answers JSON has one, and answers ``If-None-Match`` with 304 (:class:`ConditionalGets`). A route that
changes something with an ETag takes ``If-Match`` and checks it inside its transaction (:class:`Precondition`), after
RFC 9110 section 13. Bytes that never change are told apart by their digest and may be kept for ever.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import Conflict, ErrorCode

IMMUTABLE: Final = "private, max-age=31536000, immutable"
REVALIDATE: Final = "private, no-cache"
MAX_TAGGED: Final = 1 << 20  # bytes; a longer answer has no ETag

_TAG: Final = re.compile(r'(?P<weak>W/)?(?P<tag>"[\x21\x23-\x7e\x80-\xff]*")')
_KEPT: Final = ("etag", "cache-control", "vary", "x-request-id")  # headers of an answer that a 304 repeats


def tag_of(body: bytes) -> str:
    """The ETag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def etag_of(shown: BaseModel) -> str:
    """The ETag that ``GET`` gives a resource which is shown so."""
    return tag_of(shown.model_dump_json(by_alias=True).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Precondition:
    """What a caller says the resource is like. ``header`` None: nothing."""

    header: str | None = None

    def check(self, shown: BaseModel | None) -> None:
        """Checks that the resource is as the caller thinks; call it in the transaction that changes it.

        Args:
            shown: The resource as ``GET`` shows it now; None: there is none.

        Raises:
            Conflict: ``STATE_003`` if it is another one.
        """
        if self.header is None:
            return
        present = None if shown is None else etag_of(shown)
        if present is None or (self.header.strip() != "*" and present not in _strong(self.header)):
            now = "there is none" if present is None else f"it is {present} now"
            raise Conflict(
                ErrorCode.PRECONDITION_FAILED,
                f"If-Match names another state of the resource; {now}. Get it, look at what changed, and try again.",
                details={"etag": present},
            )


NO_PRECONDITION: Final = Precondition()


def if_match(
    if_match: Annotated[
        str | None, Header(max_length=1000, description="Change it only if this is its ETag; otherwise 412.")
    ] = None,
) -> Precondition:
    """The dependency behind :data:`IfMatch`."""
    return Precondition(header=if_match)


IfMatch: TypeAlias = Annotated[Precondition, Depends(if_match)]


def tagged(shown: BaseModel, *, status: int = 200) -> Response:
    """The answer of a route that changed a resource: the resource with its new ETag."""
    body = shown.model_dump_json(by_alias=True).encode()
    return Response(body, status_code=status, media_type="application/json", headers={"ETag": tag_of(body)})


def immutable(digest: str) -> dict[str, str]:
    """The headers of bytes that never change and are told apart by their digest."""
    return {"ETag": f'"{digest}"', "Cache-Control": IMMUTABLE}


def unchanged(request: Request, etag: str, *, cache: str = IMMUTABLE) -> Response | None:
    """The 304 for a caller who has what carries ``etag`` already; None if it has not."""
    if not matches(request.headers.get("if-none-match"), etag):
        return None
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": cache})


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names the ETag; weak and strong forms are the same here."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or any(found["tag"] == etag for found in _TAG.finditer(if_none_match))


def _strong(header: str) -> set[str]:
    return {found["tag"] for found in _TAG.finditer(header) if found["weak"] is None}


class ConditionalGets:
    """ASGI middleware: gives JSON answers of ``GET`` their ETag, and callers who have them already a 304.

    Args:
        app: What is wrapped.
        prefix: Only paths below it.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app = app
        self._prefix = f"{prefix}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(self._prefix):
            send = _Tagger(send, Headers(scope=scope).get("if-none-match")).send
        await self._app(scope, receive, send)


class _Tagger:
    """Holds a short JSON answer back until its bytes are known."""

    def __init__(self, send: Send, if_none_match: str | None) -> None:
        self._send = send
        self._if_none_match = if_none_match
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _taggable(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            await self._finish(self._start, message)

    async def _finish(self, start: Message, message: Message) -> None:
        self._start = None
        if message.get("more_body", False):  # longer than one piece: streamed, so without an ETag
            await self._send(start)
            await self._send(message)
            return
        headers = MutableHeaders(scope=start)
        etag = headers.setdefault("ETag", tag_of(message.get("body", b"")))
        headers.setdefault("Cache-Control", REVALIDATE)
        if matches(self._if_none_match, etag):
            kept = [(name, value) for name, value in start["headers"] if name.decode() in _KEPT]
            await self._send({"type": "http.response.start", "status": 304, "headers": kept})
            await self._send({"type": "http.response.body", "body": b""})
            return
        await self._send(start)
        await self._send(message)


def _taggable(start: Message) -> bool:
    headers = Headers(scope=start)
    short = int(headers.get("content-length", MAX_TAGGED + 1)) <= MAX_TAGGED
    return start["status"] == 200 and headers.get("content-type", "").startswith("application/json") and short
