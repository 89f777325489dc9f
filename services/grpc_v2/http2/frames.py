# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 frames (RFC 9113, sections 4, 6 and 7): their numbers, their head, and those a server writes."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

# Numbers of settings.
ENABLE_PUSH: Final = 2
MAX_STREAMS: Final = 3
INITIAL_WINDOW: Final = 4
MAX_FRAME: Final = 5
MAX_HEADER_LIST: Final = 6

HEAD: Final = struct.Struct(">BHBBL")  # length in 8 and 16 bits, type, flags, stream
HEAD_BYTES: Final = HEAD.size
STREAM_MASK: Final = 2**31 - 1
LARGEST_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
SMALLEST_FRAME: Final = 16_384  # what every peer accepts

_SETTING: Final = struct.Struct(">HL")


class Code(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ConnectionFault(Exception):
    """The peer broke a rule that concerns the whole connection."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code = code


class StreamFault(Exception):
    """The peer broke a rule that concerns one stream."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A whole frame of at most 16 MiB."""
    size = len(payload)
    return HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """What stands before ``size`` bytes."""
    return HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream)


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def pairs(payload: bytes) -> list[tuple[int, int]]:
    """What a SETTINGS frame says."""
    return list(_SETTING.iter_unpack(payload))


def window_update(stream: int, size: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def reset(stream: int, code: Code) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last: int, code: Code, why: str = "") -> bytes:
    """A GOAWAY frame; streams up to ``last`` were or will be answered."""
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + why.encode())


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0, b"")


def padded(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the content of a padded payload lies.

    Raises:
        ConnectionFault: If there is more padding than payload.
    """
    if start == end or data[start] >= end - start:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "more padding than payload")
    return start + 1, end - data[start]
