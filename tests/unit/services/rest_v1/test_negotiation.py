# SPDX-License-Identifier: Apache-2.0
"""Which media type is read and which is sent."""

from __future__ import annotations

import pytest

from core.errors import ErrorCode, InvalidRequest
from core.features import Feature
from services.rest_v1.negotiation import CODECS, error_type, negotiate

JSON, MSGPACK, PROTOBUF = b"application/json", b"application/msgpack", b"application/x-protobuf"


@pytest.mark.parametrize(
    ("content_type", "accept", "sent"),
    [
        (None, None, JSON),
        (JSON, None, JSON),
        (b"Application/JSON; charset=utf-8", b"", JSON),
        (MSGPACK, None, MSGPACK),
        (b"application/x-msgpack", None, b"application/x-msgpack"),
        (b"application/protobuf", b"*/*", b"application/protobuf"),
        (MSGPACK, b"application/*", MSGPACK),
        (MSGPACK, JSON, JSON),
        (JSON, b"application/x-protobuf", PROTOBUF),
        (JSON, b"application/protobuf", b"application/protobuf"),
        (JSON, b"application/msgpack, application/json", JSON),
        (JSON, b"application/msgpack;q=0.9, application/json;q=0.8", MSGPACK),
        (JSON, b"*/*;q=0.1, application/msgpack", MSGPACK),
        (JSON, b"application/json;q=0, */*", MSGPACK),
        (PROTOBUF, b"application/*;q=0.5, application/x-protobuf;q=0.4, text/html", JSON),
        (JSON, b"application/msgpack;q=nonsense, */*;q=0.1", JSON),
        (JSON, b"text/html, application/xhtml+xml, */*;q=0.8", JSON),
        (JSON, b" APPLICATION/MSGPACK ; v=1 ; Q=1 ", MSGPACK),
    ],
)
def test_what_is_sent(content_type: bytes | None, accept: bytes | None, sent: bytes) -> None:
    """The best rated media type, then the request's own, then the order of the table; most specific ranges decide."""
    chosen = negotiate(content_type, accept)
    assert chosen.media_type == sent
    assert chosen.writer is CODECS[sent]


@pytest.mark.parametrize(
    "content_type", [b"text/plain", b"", b"application/x-www-form-urlencoded", b"\xff/\x00", b"*/*"]
)
def test_other_requests_are_refused(content_type: bytes) -> None:
    """What no codec reads is VALID_004; the message says what is read."""
    with pytest.raises(InvalidRequest, match="application/x-protobuf") as caught:
        negotiate(content_type, None)
    assert caught.value.code is ErrorCode.UNSUPPORTED_MEDIA_TYPE


@pytest.mark.parametrize(
    "accept",
    [b"text/html", b"*/*;q=0", b"application/json;q=0", b"image/*", b",", b"application/json;q=nonsense", b"\xff"],
)
def test_what_cannot_be_sent_is_refused(accept: bytes) -> None:
    """An Accept that allows nothing we have is VALID_005."""
    with pytest.raises(InvalidRequest) as caught:
        negotiate(JSON, accept)
    assert caught.value.code is ErrorCode.NOT_ACCEPTABLE


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        (None, JSON),
        (b"*/*", JSON),
        (b"application/msgpack, application/json;q=0.1", JSON),
        (b"application/msgpack", MSGPACK),
        (b"application/x-protobuf, application/msgpack;q=0.2", PROTOBUF),
        (b"text/html", JSON),
    ],
)
def test_what_errors_are(accept: bytes | None, sent: bytes) -> None:
    """Errors are JSON unless Accept excludes it and allows another form."""
    assert error_type(accept) == sent


def test_either_direction_needs_the_feature() -> None:
    """A tenant needs the feature of what it sends and of what it gets, JSON needs none."""
    assert negotiate(JSON, JSON).features == ()
    assert negotiate(MSGPACK, MSGPACK).features == (Feature.V1_MSGPACK,)
    assert negotiate(MSGPACK, PROTOBUF).features == (Feature.V1_MSGPACK, Feature.V1_PROTOBUF)
    assert negotiate(JSON, PROTOBUF).features == (Feature.V1_PROTOBUF,)


def test_an_accept_bomb_is_cut() -> None:
    """Ranges after the first 32 are not looked at."""
    many = b",".join([b"text/a"] * 32)
    with pytest.raises(InvalidRequest):
        negotiate(JSON, many + b",application/json")
