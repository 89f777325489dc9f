# SPDX-License-Identifier: Apache-2.0
"""The short way of ``GET /models/{model}/resolve``, the question that inference services ask all the time.

It answers only what the route answered a moment ago: the caller is authenticated and allowed by the same code, and the
answer is the route's own bytes, kept until something of the tenant's models changes (or for ``seconds``, because other
processes change things, too). Whatever else comes, a fault of the credential included, goes on to the route.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request
from fastapi.security import HTTPAuthorizationCredentials
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.clock import Clock
from core.errors import FuroshikiError
from registry_api.http.access import Action
from registry_api.http.auth import ACTING_FOR, Principal, check, current_principal
from registry_api.http.etags import matches
from registry_api.http.services import Services
from registry_api.models.watching.repository import listen

_QUERY_BYTES: Final = 200  # a longer one is none of those that are asked all the time


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of the route, status 200."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What was known to have changed when a question was asked."""

    tenant: int
    every: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    answer: Answer
    ticket: Ticket
    until: float  # monotonic seconds


class ResolveCache:
    """The answers of this process.

    Rule: a ticket is taken before the database is asked; an answer that was overtaken by a change is not kept.

    Args:
        clock: For the age of answers.
        seconds: The longest an answer is given again; 0: never.
        entries: The most answers kept; the one unused for longest goes.
    """

    def __init__(self, clock: Clock, *, seconds: float, entries: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = entries
        self._entries: OrderedDict[tuple[str, str, bytes], _Entry] = OrderedDict()
        self._changes: dict[str, int] = {}  # by tenant
        self._every = 0
        listen(self)

    def get(self, tenant: str, model: str, query: bytes) -> Answer | None:
        """The answer to a question of the tenant; None if it must be asked."""
        key = (tenant, model, query)
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.ticket != self.ticket(tenant) or self._clock.monotonic() >= entry.until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def ticket(self, tenant: str) -> Ticket:
        """Take it before asking."""
        return Ticket(tenant=self._changes.get(tenant, 0), every=self._every)

    def put(self, tenant: str, model: str, query: bytes, answer: Answer, ticket: Ticket) -> None:
        """Keeps an answer, unless something changed since the ticket was taken."""
        if self._seconds <= 0 or ticket != self.ticket(tenant):
            return
        until = self._clock.monotonic() + self._seconds
        self._entries[(tenant, model, query)] = _Entry(answer=answer, ticket=ticket, until=until)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def forget(self, tenant: str | None) -> None:
        """Makes every answer of a tenant worthless; None: of all tenants. Who learns of other processes' changes calls it."""
        if tenant is None:
            self._every += 1
        else:
            self._changes[tenant] = self._changes.get(tenant, 0) + 1

    def models_changed(self, tenant: str | None) -> None:
        """A transaction of this process that touched models was committed."""
        self.forget(tenant)


@dataclass(frozen=True, slots=True)
class _Route:
    path: str = "/models/{model}/resolve"  # for the metrics


_ROUTE: Final = _Route()


class ResolveShortcut:
    """ASGI middleware; see the module.

    Args:
        app: The application that has the route.
        prefix: Where its routes begin.
        services: Where the cache and the authenticator are.
    """

    def __init__(self, app: ASGIApp, *, prefix: str, services: Services) -> None:
        self._app = app
        self._services = services
        self._path = re.compile(rf"{re.escape(prefix)}/models/(?P<model>[a-z0-9._-]{{1,63}})/resolve")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        found = self._path.fullmatch(scope["path"])
        query: bytes = scope.get("query_string", b"")
        principal = await _caller(scope) if found is not None and len(query) <= _QUERY_BYTES else None
        if found is None or principal is None:
            await self._app(scope, receive, send)
            return
        cache = self._services.get(ResolveCache)
        answer = cache.get(principal.tenant, found["model"], query)
        if answer is not None:
            scope["route"] = _ROUTE
            await _send(answer, Headers(scope=scope).get("if-none-match"), send)
            return
        kept = _Kept(send, ticket=cache.ticket(principal.tenant))
        await self._app(scope, receive, kept.send)
        if (answer := kept.answer) is not None:
            cache.put(principal.tenant, found["model"], query, answer, kept.ticket)


async def _caller(scope: Scope) -> Principal | None:
    """Who asks, checked as the route checks it; None if the route is to say what is wrong."""
    headers = Headers(scope=scope)
    scheme, token = get_authorization_scheme_param(headers.get("authorization"))
    bearer = HTTPAuthorizationCredentials(scheme=scheme, credentials=token) if scheme.lower() == "bearer" else None
    try:
        principal = await current_principal(
            Request(scope), headers.get("x-api-key"), bearer, acting_for=headers.get(ACTING_FOR)
        )
        check(principal, Action.MODELS_READ)
    except FuroshikiError:
        return None
    return principal


async def _send(answer: Answer, if_none_match: str | None, send: Send) -> None:
    if matches(if_none_match, answer.etag):
        kept = [pair for pair in answer.headers if pair[0] in (b"etag", b"cache-control")]
        await send({"type": "http.response.start", "status": 304, "headers": kept})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.start", "status": 200, "headers": list(answer.headers)})
    await send({"type": "http.response.body", "body": answer.body})


@dataclass(slots=True)
class _Kept:
    """Passes the route's answer on and keeps a short good one."""

    _send: Send
    ticket: Ticket
    answer: Answer | None = None
    _headers: list[tuple[bytes, bytes]] | None = field(default=None, init=False)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            self._headers = list(message["headers"])
        elif message["type"] == "http.response.body" and self._headers is not None and not message.get("more_body"):
            etag = dict(self._headers).get(b"etag", b"").decode("latin-1")
            headers = tuple(self._headers)
            self.answer = Answer(headers=headers, body=message.get("body", b""), etag=etag) if etag else None
        await self._send(message)
