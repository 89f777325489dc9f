# SPDX-License-Identifier: Apache-2.0
"""Calls of the Kubernetes API, by the official client: configuration, credentials and TLS are its own.

Rules. Every call has a time limit. Each may be repeated, so each is, a few times: reads; server-side apply, which is
idempotent; deletion, which names the object's uid. After a 401 the configuration is read anew once (a token on disk was
replaced). A list is read to its end, page by page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import orjson

from core.errors import ErrorCode, InitError, Unavailable
from registry_api.deployments.kubernetes.faults import fault, unreachable
from registry_api.deployments.kubernetes.values import Document

APPLY: Final = "application/apply-patch+yaml"
JSON: Final = "application/json"
_PAGE: Final = 500
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """How the cluster is reached."""

    kubeconfig: Path | None = None  # None: the service account of this pod
    context: str | None = None  # of the kubeconfig; None: its current one
    timeout_seconds: float = 15.0  # of each call
    attempts: int = 3
    pause_seconds: float = 0.5  # before the second attempt; doubles with each further one


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the API."""

    method: str
    path: str
    asked: str  # for people: "apply Deployment/NAME"
    query: Mapping[str, str] | None = None
    body: Document | None = None
    content: str = JSON


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
        code, body = self._answer(call)
        if code >= HTTPStatus.MULTIPLE_CHOICES:
            raise fault(code, body, call.asked)
        return _document(body, call.asked)

    def find(self, call: Call) -> Document | None:
        """As :meth:`ask`; None if there is no such object."""
        code, body = self._answer(call)
        if code == HTTPStatus.NOT_FOUND:
            error = fault(code, body, call.asked)
            if error.code is ErrorCode.CLUSTER_NAMESPACE:
                raise error
            return None
        if code >= HTTPStatus.MULTIPLE_CHOICES:
            raise fault(code, body, call.asked)
        return _document(body, call.asked)

    def text(self, call: Call) -> str:
        """As :meth:`ask`, of an answer that is text."""
        code, body = self._answer(call)
        if code >= HTTPStatus.MULTIPLE_CHOICES:
            raise fault(code, body, call.asked)
        return body.decode(errors="replace")

    def every(self, path: str, asked: str, *, selector: str = "") -> list[Document]:
        """Every object of a collection that a label selector finds."""
        found: list[Document] = []
        query = {"limit": str(_PAGE)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = self.ask(Call(method="GET", path=path, asked=asked, query=query))
            found += page["items"]
            going_on = page["metadata"].get("continue")
            if not going_on:
                return found
            query["continue"] = going_on

    def changes(self, call: Call, seconds: float) -> Generator[Document, None, None]:
        """The events of a watch, until it ends, is cut off, or the API says that the version is too old (410).

        Ends silently in each case: whoever watches reads the present state again.
        """
        client = self._loaded()
        ending: tuple[type[Exception], ...] = (*_cut(), Unavailable)
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

    def _answer(self, call: Call) -> tuple[int, bytes]:
        fresh = False
        for attempt in range(self._options.attempts):
            last = attempt == self._options.attempts - 1
            code, body, why = self._once(call)
            if code == HTTPStatus.UNAUTHORIZED and not fresh:
                fresh, self._client = True, None
                code, body, why = self._once(call)
            if why and last:
                raise unreachable(call.asked, why)
            if not why and (last or code not in _AGAIN):
                return code, body
            self._pause(self._options.pause_seconds * 2**attempt)
        raise AssertionError("at least one attempt is made")

    def _once(self, call: Call) -> tuple[int, bytes, str]:
        """Status and body, or why there are none."""
        client = self._loaded()
        try:
            answer = self._send(client, call, dict(call.query or {}), self._options.timeout_seconds)
            return answer.status, bytes(answer.read()), ""
        except _cut() as error:
            return 0, b"", f"{type(error).__name__}: {error}"

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
            self._client = _client(self._options)
        return self._client


def _client(options: ApiOptions) -> Any:
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise Unavailable(
            ErrorCode.DEVICE_UNAVAILABLE,
            "The Kubernetes client is not installed. Install deploy/locks/kubernetes.txt.",
        ) from error
    configuration = client.Configuration()
    configuration.retries = False  # ours are enough
    try:
        if options.kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(options.kubeconfig),
                context=options.context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, OSError, ValueError) as error:
        where = options.kubeconfig or "the service account of this pod"
        raise InitError(ErrorCode.SETTING_INVALID, f"Kubernetes is not configured by {where}: {error}") from error
    return client.ApiClient(configuration)


def _cut() -> tuple[type[Exception], ...]:
    """What the client raises where there was no answer."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    return ApiException, HTTPError, OSError


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
