# SPDX-License-Identifier: Apache-2.0
"""Only a plain inference request is recognised, and nothing a strict parser would refuse."""

from __future__ import annotations

import pytest

from services.front.heads import Heads, parse


def head(*lines: str, start: str = "POST /v2/models/digits/infer HTTP/1.1") -> bytes:
    return "\r\n".join((start, "Host: x", *lines, "", "")).encode("latin-1")


def test_a_plain_request_is_recognised() -> None:
    """Model, version, length and headers of an inference request; header names in lower case."""
    found = parse(head("Content-Length: 12", "X-API-Key: k", start="POST /v2/models/digits/versions/3/infer HTTP/1.1"))
    assert found is not None
    assert (found.model, found.version, found.length) == ("digits", "3", 12)
    assert found.path == "/v2/models/digits/versions/3/infer"
    assert found.headers[b"x-api-key"] == b"k"


@pytest.mark.parametrize(
    "raw",
    [
        head(),
        head("Content-Length: 0"),
        head("Content-Length: -1"),
        head("Content-Length: +5"),
        head("Content-Length: 5", "Content-Length: 6"),
        head("Content-Length: 5", "Content-Length: 5"),
        head("Content-Length: 5, 5"),
        head("Content-Length: 99999999999999999999"),
        head("Content-Length: 5", "Transfer-Encoding: chunked"),
        head("Transfer-Encoding: chunked"),
        head("Transfer-Encoding : chunked", "Content-Length: 5"),
        head("Content-Length : 5"),
        head(" Content-Length: 5"),
        head("Content-Length: 5", "X: a\r\n folded"),
        head("Content-Length: 5", "X: a\nY: b"),
        head("Content-Length: 5", "X: a\rb"),
        head("Content-Length: 5", "X: a\0b"),
        head("Content-Length: 5", "Expect: 100-continue"),
        head("Content-Length: 5", "Content-Encoding: gzip"),
        head("Content-Length: 5", "Connection: close"),
        head("Content-Length: 5", "Connection: upgrade", "Upgrade: websocket"),
        head("Content-Length: 5", start="POST /v2/models/digits/infer HTTP/1.0"),
        head("Content-Length: 5", start="POST /v2/models/digits/infer HTTP/2.0"),
        head("Content-Length: 5", start="GET /v2/models/digits/infer HTTP/1.1"),
        head("Content-Length: 5", start="POST /v2/models/digits/ready HTTP/1.1"),
        head("Content-Length: 5", start="POST /v2/models/digits/infer?x=1 HTTP/1.1"),
        head("Content-Length: 5", start="POST /v2/models/dig%69ts/infer HTTP/1.1"),
        head("Content-Length: 5", start="POST /v2/models/a/b/infer HTTP/1.1"),
        head("Content-Length: 5", start="POST http://host/v2/models/digits/infer HTTP/1.1"),
        head("Content-Length: 5", start=" POST /v2/models/digits/infer HTTP/1.1"),
        b"POST /v2/models/digits/infer HTTP/1.1\nContent-Length: 5\n\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
    ],
)
def test_everything_else_is_left_to_the_application(raw: bytes) -> None:
    """Other requests, and whatever two parsers could read differently, are not recognised."""
    assert parse(raw) is None


def test_heads_are_remembered_within_bounds() -> None:
    """The same bytes are parsed once; many different ones, and long ones, do not gather."""
    heads = Heads()
    raw = head("Content-Length: 5")
    assert heads.find(raw) is heads.find(bytes(bytearray(raw)))
    for number in range(5000):
        assert heads.find(head("Content-Length: 5", f"X-Request-ID: {number}")) is not None
    assert len(heads) <= 1024
    before = len(heads)
    assert heads.find(head("Content-Length: 5", "X: " + "y" * 8000)) is not None
    assert len(heads) == before
