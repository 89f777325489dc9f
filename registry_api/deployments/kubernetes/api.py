# SPDX-License-Identifier: Apache-2.0
"""Calls of the Kubernetes API, by the official client.

Rules. Every call has a time limit. Each may be repeated, so each is, a few times: reads; server-side apply, which is
idempotent; deletion, which names the object's uid. Where the API says how long to wait (429 and 503 with ``Retry-After``),
that long is waited, but no longer than a call may take. After a 401 the configuration is read anew once (a token on disk was
replaced). A list is read to its end, page by page, and begun anew if it has become too old to go on (410).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

import orjson

from core.errors import ErrorCode, Unavailable
from registry_api.deployments.kubernetes.connecting import ApiOptions, connect, cut_off
from registry_api.deployments.kubernetes.faults import fault, unreachable
from registry_api.deployments.kubernetes.values import Document

APPLY: Final = "application/apply-patch+yaml"
JSON: Final = "application/json"
_PAGE: Final = 500
_LISTINGS: Final = 3  # times that a list is begun
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the API."""

    method: str
    path: str
    asked: str  # for people: "apply Deployment/NAME"
    query: Mapping[str, str] | None = None
    body: Document | None = None
    content: str = JSON
    once: bool = False  # not tried again: whoever asks comes again anyway


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    code: int = 0
    body: bytes = b""
    why: str = ""  # there is none; "" if there is one
    wait_seconds: float = 0.0  # as the API asks


class Api:
    """The API of one cluster. Safe to use from several threads.

    Args:
        options: How the cluster is reached.
        pause: Waits that many seconds.
    """

    def __init__(self, options: ApiOptions, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._options = options
        self._pause = pause
        self._client: Any = None  # None: the configuration was not read yet

    def ask(self, call: Call) -> Document:
        """The object the API answers with.

        Raises:
            FuroshikiError: As :mod:`registry_api.deployments.kubernetes.faults` says.
        """
        return _document(_accepted(call, *self._answer(call)), call.asked)

    def find(self, call: Call) -> Document | None:
        """As :meth:`ask`; None if there is no such object, or to delete none with this uid any more."""
        code, body = self._answer(call)
        if code == HTTPStatus.NOT_FOUND and fault(code, body, call.asked).code is not ErrorCode.CLUSTER_NAMESPACE:
            return None
        if code == HTTPStatus.CONFLICT and call.method == "DELETE":
            return None
        return _document(_accepted(call, code, body), call.asked)

    def text(self, call: Call) -> bytes:
        """As :meth:`ask`, of an answer that is text."""
        return _accepted(call, *self._answer(call))

    def every(self, path: str, asked: str, *, selector: str = "") -> list[Document]:
        """Every object of a collection that a label selector finds."""
        query = {"limit": str(_PAGE)} | ({"labelSelector": selector} if selector else {})
        for _ in range(_LISTINGS):
            found = self._pages(Call(method="GET", path=path, asked=asked, query=query))
            if found is not None:
                return found
        raise unreachable(asked, "the list became too old to go on, several times")

    def changes(self, call: Call, seconds: float) -> Generator[Document, None, None]:
        """The events of a watch, until it ends, is cut off, or the API says that the version is too old (410).

        Ends silently in each case: whoever watches reads the present state again.
        """
        client = self._loaded()
        ending: tuple[type[Exception], ...] = (*cut_off(), Unavailable)
        query = dict(call.query or {}) | {"watch": "true", "timeoutSeconds": str(max(1, round(seconds)))}
        try:
            answer = self._send(client, call, query, seconds + self._options.timeout_seconds)
            with closing(answer.response) as response:
                if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                    return
                for line in _lines(response):
                    event = _document(line, call.asked)
                    if event.get("type") == "ERROR":
                        return
                    yield event
        except ending:
            return

    def _pages(self, call: Call) -> list[Document] | None:
        """All pages; None if what is left of them has become too old."""
        found: list[Document] = []
        query = dict(call.query or {})
        while True:
            asked = replace(call, query=dict(query))
            code, body = self._answer(asked)
            if code == HTTPStatus.GONE and "continue" in query:
                return None
            page = _document(_accepted(asked, code, body), call.asked)
            found += page.get("items") or ()
            going_on = page["metadata"].get("continue")
            if not going_on:
                return found
            query["continue"] = going_on

    def _answer(self, call: Call) -> tuple[int, bytes]:
        fresh, attempts = False, 1 if call.once else self._options.attempts
        for attempt in range(attempts):
            last = attempt == attempts - 1
            answer = self._once(call)
            if answer.code == HTTPStatus.UNAUTHORIZED and not fresh:
                fresh, self._client = True, None
                answer = self._once(call)
            if answer.why and last:
                raise unreachable(call.asked, answer.why)
            if not answer.why and (last or answer.code not in _AGAIN):
                return answer.code, answer.body
            asked = min(answer.wait_seconds, self._options.timeout_seconds)
            self._pause(max(self._options.pause_seconds * 2**attempt, asked))
        raise AssertionError("at least one attempt is made")

    def _once(self, call: Call) -> _Answer:
        client = self._loaded()
        try:
            answer = self._send(client, call, dict(call.query or {}), self._options.timeout_seconds)
            asked = str(answer.headers.get("Retry-After", ""))
            return _Answer(
                code=answer.status, body=bytes(answer.read()), wait_seconds=float(asked) if asked.isdecimal() else 0.0
            )
        except cut_off() as error:
            return _Answer(why=f"{type(error).__name__}: {error}")

    def _send(self, client: Any, call: Call, query: Mapping[str, str], seconds: float) -> Any:
        prepared = client.param_serialize(
            call.method,
            call.path,
            query_params=list(query.items()),
            header_params={"Accept": "*/*", "Content-Type": call.content},
            body=call.body,
            auth_settings=["BearerToken"],
        )
        return client.call_api(*prepared, _request_timeout=seconds)

    def _loaded(self) -> Any:
        if self._client is None:
            self._client = connect(self._options)
        return self._client


def _accepted(call: Call, code: int, body: bytes) -> bytes:
    if code >= HTTPStatus.MULTIPLE_CHOICES:
        raise fault(code, body, call.asked)
    return body


def _document(body: bytes, asked: str) -> Document:
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        read = None
    if not isinstance(read, dict):
        raise unreachable(asked, "what answered is not a Kubernetes API")
    return read


def _lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(65536, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)
