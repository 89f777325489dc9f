# SPDX-License-Identifier: Apache-2.0
"""Request heads, parsed once.

A client that keeps its connection sends the same head with every request, byte for byte. What a head means is therefore
remembered under its bytes: the parser (llhttp, through httptools) sees each distinct head once, so that nothing it would
refuse is ever taken for a request. Only plain inference requests are recognised; every other head is None and its request
goes through the ASGI application.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from services.edge.compression import accepted
from services.edge.context import traceparent
from services.rest_v2.message import claimed_json_size
from services.rest_v2.raw import HEADER_LENGTH

PREFIX: Final = b"POST /v2/models/"
END: Final = b"\r\n\r\n"
LONGEST_HEAD: Final = 64 * 2**10  # bytes

_MOST_HEADS: Final = 1024
_LONGEST: Final = 4096  # a longer head is parsed, but not remembered
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")
_UPGRADE: Final = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*", re.IGNORECASE)
_OTHERWISE: Final = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})


class Head:
    """What the head of one inference request says.

    Attributes:
        length: Bytes of the body behind it, at least 1.
        json_size: Bytes of the body's JSON part, as far as the head can be believed; 0: all of it.
        coding: How a large answer is compressed; None: not at all.
        traceparent: The caller's trace context.
    """

    __slots__ = ("coding", "headers", "json_size", "length", "model", "path", "traceparent", "version")

    def __init__(self, path: str, model: str, version: str | None, headers: dict[bytes, bytes], length: int) -> None:
        self.path = path
        self.model = model
        self.version = version
        self.headers = headers
        self.length = length
        self.json_size = claimed_json_size(headers.get(b"inference-header-content-length"))
        self.coding = accepted(headers.get(b"accept-encoding"))
        self.traceparent = traceparent(headers.get(b"traceparent"))


class Heads:
    """Remembers what heads mean."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head | None] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, raw: bytes) -> Head | None:
        """The inference request this head begins; None if it begins anything else.

        Args:
            raw: The head with the empty line that ends it.
        """
        try:
            return self._known[raw]
        except KeyError:
            pass
        head = parse(raw)
        if len(raw) <= _LONGEST:
            if len(self._known) >= _MOST_HEADS:
                self._known.clear()
            self._known[raw] = head
        return head


def without_upgrade(raw: bytes) -> bytes:
    """A head without its offer to speak another protocol, which nothing here takes up.

    The parser would take the body for that protocol. Java's client and ``curl --http2`` make the offer with every request.

    Args:
        raw: The head with the empty line that ends it.
    """
    return _UPGRADE.sub(b"", raw)


class _Collector:
    """What the parser reports."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.more = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True

    def on_body(self, _body: bytes) -> None:
        self.more = True

    def on_message_complete(self) -> None:
        self.more = True


def parse(raw: bytes) -> Head | None:
    """Parses one head; None unless it is exactly the head of a plain inference request with a body of a stated length."""
    seen = _Collector()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    # The parser must agree that the head ends where it was cut, and that a body follows.
    if not seen.complete or seen.more or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
        return None
    headers = dict(seen.headers)
    if not parser.should_keep_alive() or not _OTHERWISE.isdisjoint(headers) or not _PLAIN.issuperset(seen.url):
        return None
    return _head(seen.url.decode("ascii"), headers)


def _head(path: str, headers: dict[bytes, bytes]) -> Head | None:
    length = headers.get(b"content-length", b"")
    if headers.get(b"inference-header-content-length") == HEADER_LENGTH:
        return None  # a raw body: what it is, the model must say
    if not 0 < len(length) < 16:
        return None
    match path.split("/")[2:]:
        case ["models", model, "infer"]:
            return Head(path, model, None, headers, int(length))
        case ["models", model, "versions", version, "infer"]:
            return Head(path, model, version, headers, int(length))
        case _:
            return None
