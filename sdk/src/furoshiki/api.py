# SPDX-License-Identifier: Apache-2.0
"""How resources reach the services: base URLs, credential, request ids, retries, JSON and pages.

Every write to the registry carries an ``Idempotency-Key`` of its own, the same on each attempt: a request whose answer was
lost is sent again, and the registry does not do it twice.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Generic, Literal, Protocol, TypeVar

import msgspec

from furoshiki.replies import decode, unreadable
from furoshiki.retry import Clock, Retry, RetryBudget, attempts
from furoshiki.steps import FileBody, Item, Items, QueryValue, Reply, Request, Steps, with_headers

T = TypeVar("T")


class Tagged(Protocol):
    """A value that knows the ETag it came with: a dataclass with a field ``etag``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def etag(self) -> str | None: ...


E = TypeVar("E", bound=Tagged)

API: Final = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What every request of one client shares."""

    registry_url: str
    inference_url: str
    api_key: str | None = field(repr=False)  # None: requests carry no credential
    retry: Retry
    clock: Clock
    budget: RetryBudget
    rng: random.Random
    user_agent: str

    def send(self, request: Request) -> Steps[Reply]:
        """Completes a request with base URL, credential and id, and sends it with retries."""
        headers = {"X-Request-ID": uuid.uuid4().hex, "User-Agent": self.user_agent}
        if self.api_key is not None:
            headers["X-API-Key"] = self.api_key
        if _keyed(request):
            request = replace(with_headers(request, {"Idempotency-Key": f'"{uuid.uuid4()}"'}), repeatable=True)
        complete = replace(with_headers(request, headers), base=request.base or self.registry_url)
        return (yield from attempts(complete, self.retry, clock=self.clock, budget=self.budget, rng=self.rng))

    def fetch(self, request: Request, kind: type[T]) -> Steps[T]:
        """Sends a request and decodes its JSON reply."""
        return decode((yield from self.send(request)), kind)

    def tagged(self, request: Request, kind: type[E]) -> Steps[E]:
        """Sends a request and decodes its JSON reply; ``etag`` comes from the reply's header."""
        reply = yield from self.send(request)
        return replace(decode(reply, kind), etag=reply.headers.get("etag"))

    def pages(self, path: str, kind: type[T], query: Mapping[str, QueryValue] | None = None) -> Items[T]:
        """Walks a cursor-paginated list; each page is fetched when its first value is asked for."""
        asked: dict[str, QueryValue] = dict(query or {})
        while True:
            reply = yield from self.send(Request(method="GET", path=API + path, query=dict(asked)))
            page = decode(reply, _Page[kind])  # type: ignore[valid-type]
            for value in page.items:
                yield Item(value)
            if page.next_cursor is None:
                return
            if page.next_cursor == asked.get("cursor"):
                raise unreadable(reply, "names the page it is on as the next one")
            asked["cursor"] = page.next_cursor


class _Page(msgspec.Struct, Generic[T]):
    items: list[T]
    next_cursor: str | None = None


def _keyed(request: Request) -> bool:
    """Whether the registry is to remember the request; files are told apart by their digest."""
    writes = request.method != "GET" and request.path.startswith(f"{API}/")
    return writes and not request.base and not isinstance(request.body, FileBody)


def get_request(path: str, query: Mapping[str, QueryValue] | None = None) -> Request:
    """A GET below the registry's API root."""
    return Request(method="GET", path=API + path, query=query or {})


def json_request(
    method: Literal["POST", "PUT", "PATCH"],
    path: str,
    fields: dict[str, Any],
    *,
    repeatable: bool = False,
    etag: str | None = None,
) -> Request:
    """A request below the registry's API root with a JSON body of the fields that are not None.

    Args:
        method: The method.
        path: Below the API root.
        fields: Of the body.
        repeatable: Whether sending it twice does what sending it once does.
        etag: Change the resource only if this is its ETag; None: in any case.
    """
    present = {name: value for name, value in fields.items() if value is not None}
    return Request(
        method=method,
        path=API + path,
        headers={"Content-Type": "application/json"} | ({} if etag is None else {"If-Match": etag}),
        body=msgspec.json.encode(present),
        repeatable=repeatable,
    )
