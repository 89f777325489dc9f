# SPDX-License-Identifier: Apache-2.0
"""How resources reach the services: base URLs, credential, request ids, retries, JSON and pages."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from furoshiki.replies import decode, unreadable
from furoshiki.retry import Clock, Retry, RetryBudget, attempts
from furoshiki.steps import Item, Items, Reply, Request, Steps, with_headers

T = TypeVar("T")

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
        complete = replace(with_headers(request, headers), base=request.base or self.registry_url)
        return (yield from attempts(complete, self.retry, clock=self.clock, budget=self.budget, rng=self.rng))

    def fetch(self, request: Request, kind: type[T]) -> Steps[T]:
        """Sends a request and decodes its JSON reply."""
        return decode((yield from self.send(request)), kind)

    def pages(self, path: str, kind: type[T], query: dict[str, str] | None = None) -> Items[T]:
        """Walks a cursor-paginated list; each page is fetched when its first value is asked for."""
        query = dict(query or {})
        while True:
            reply = yield from self.send(Request(method="GET", path=API + path, query=dict(query)))
            page = decode(reply, _Page[kind])  # type: ignore[valid-type]
            for value in page.items:
                yield Item(value)
            if page.next_cursor is None:
                return
            if page.next_cursor == query.get("cursor"):
                raise unreadable(reply, "names the page it is on as the next one")
            query["cursor"] = page.next_cursor


class _Page(msgspec.Struct, Generic[T]):
    items: list[T]
    next_cursor: str | None = None


def get_request(path: str, query: dict[str, str] | None = None) -> Request:
    """A GET below the registry's API root."""
    return Request(method="GET", path=API + path, query=query or {})


def json_request(
    method: Literal["POST", "PUT"], path: str, fields: dict[str, Any], *, repeatable: bool = False
) -> Request:
    """A request below the registry's API root with a JSON body of the fields that are not None."""
    present = {name: value for name, value in fields.items() if value is not None}
    return Request(
        method=method,
        path=API + path,
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(present),
        repeatable=repeatable,
    )
