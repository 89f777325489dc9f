# SPDX-License-Identifier: Apache-2.0
"""Which codec reads a request and which writes its answer: one table, ``Content-Type`` and ``Accept`` (RFC 9110, 12.5.1).

Of the media types that ``Accept`` allows, the one it rates highest is sent; among equals that of the request, then the order
of the table. Without ``Accept`` the answer is of the request's type. Errors are JSON wherever ``Accept`` allows JSON, and
where nothing it allows can be sent. Parameters of media types, other than ``q``, do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from core.errors import ErrorCode, InvalidRequest
from core.features import Feature
from services.rest_v1.interface import Codec
from services.rest_v1.json_codec import JsonCodec
from services.rest_v1.msgpack_codec import MsgpackCodec
from services.rest_v1.protobuf_codec import ProtobufCodec

_JSON, _MSGPACK, _PROTOBUF = JsonCodec(), MsgpackCodec(), ProtobufCodec()
CODECS: Final[dict[bytes, Codec]] = {
    b"application/json": _JSON,
    b"application/msgpack": _MSGPACK,
    b"application/x-msgpack": _MSGPACK,
    b"application/x-protobuf": _PROTOBUF,
    b"application/protobuf": _PROTOBUF,
}
JSON_TYPE: Final = b"application/json"
_KNOWN: Final = ", ".join(media_type.decode() for media_type in CODECS)
_MOST_RANGES: Final = 32  # of one Accept; those after them are not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """How one request is read and answered."""

    reader: Codec
    writer: Codec
    media_type: bytes  # of the answer
    features: tuple[Feature, ...]  # what the tenant must have


@lru_cache(maxsize=64)
def negotiate(content_type: bytes | None, accept: bytes | None) -> Exchanged:
    """Chooses the codecs.

    Args:
        content_type: As received; None: JSON.
        accept: As received; None: the type of the request.

    Raises:
        InvalidRequest: ``VALID_004`` for a request of another type, ``VALID_005`` if nothing acceptable can be sent.
    """
    sent = _media_type(content_type) if content_type is not None else JSON_TYPE
    reader = CODECS.get(sent)
    if reader is None:
        raise InvalidRequest(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {sent[:60].decode(errors='replace')!r} is not supported; send one of {_KNOWN}.",
        )
    best = _best(accept, first=sent)
    if best is None:
        raise InvalidRequest(
            ErrorCode.NOT_ACCEPTABLE,
            f"Accept {(accept or b'')[:120].decode(errors='replace')!r} allows none of {_KNOWN}.",
        )
    writer = CODECS[best]
    features = tuple(dict.fromkeys(codec.feature for codec in (reader, writer) if codec.feature is not None))
    return Exchanged(reader=reader, writer=writer, media_type=best, features=features)


@lru_cache(maxsize=64)
def error_type(accept: bytes | None) -> bytes:
    """The media type of an error."""
    ratings = _ratings(accept)
    if _quality(JSON_TYPE, ratings) > 0:
        return JSON_TYPE
    return _best(accept, first=JSON_TYPE) or JSON_TYPE


def _best(accept: bytes | None, *, first: bytes) -> bytes | None:
    ratings = _ratings(accept)
    rated = [(_quality(media_type, ratings), media_type) for media_type in dict.fromkeys((first, *CODECS))]
    quality, media_type = max(rated, key=lambda pair: pair[0])
    return media_type if quality > 0 else None


def _ratings(accept: bytes | None) -> dict[bytes, float]:
    """Quality by media range."""
    if accept is None or not accept.strip():
        return {b"*/*": 1.0}
    ratings: dict[bytes, float] = {}
    for part in accept.split(b",", _MOST_RANGES)[:_MOST_RANGES]:
        media_range, *parameters = part.lower().split(b";")
        quality = next((p.partition(b"=")[2] for p in map(bytes.strip, parameters) if p.startswith(b"q=")), b"1")
        try:
            ratings[media_range.strip()] = float(quality)
        except ValueError:
            continue  # not a range: as if it were not there
    return ratings


def _quality(media_type: bytes, ratings: dict[bytes, float]) -> float:
    """The most specific range that covers a media type decides."""
    for media_range in (media_type, media_type.partition(b"/")[0] + b"/*", b"*/*"):
        if media_range in ratings:
            return ratings[media_range]
    return 0.0


def _media_type(header: bytes) -> bytes:
    return header.partition(b";")[0].strip().lower()
