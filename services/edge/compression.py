# SPDX-License-Identifier: Apache-2.0
"""Compressed bodies: gzip and deflate, in and out.

A body is inflated in steps and never beyond its limit; one that grows far more than data does is refused long before that.
What takes long is done in a thread. ``deflate`` means the zlib format, as RFC 9110 says. A gzip body may have several
members.
"""

from __future__ import annotations

import asyncio
import zlib
from enum import Enum
from typing import Final

from core.errors import ErrorCode, InvalidRequest
from services.edge.bodies import Body

ON_LOOP: Final = 64 * 2**10  # bytes inflated or deflated on the event loop; more goes to a thread
_PIECE: Final = 64 * 2**10  # compressed bytes looked at in one step
_MOST_AT_ONCE: Final = 2**20  # bytes one step may give
_FREE: Final = 4 * 2**20  # bytes that may come of however few
_MOST_RATIO: Final = 128  # of the inflated to the compressed size beyond that
_MOST_MEMBERS: Final = 1024  # of one gzip body; each costs time, whatever it holds
_LEVEL: Final = 1  # tensors compress little, and callers wait


class Coding(Enum):
    """A way to compress: its name in headers, and zlib's window bits that stand for its format."""

    GZIP = ("gzip", 31)
    DEFLATE = ("deflate", 15)

    def __init__(self, label: str, window_bits: int) -> None:
        self.label = label
        self.window_bits = window_bits


_BY_NAME: Final = {b"gzip": Coding.GZIP, b"x-gzip": Coding.GZIP, b"deflate": Coding.DEFLATE}


def coding_of(header: bytes | None) -> Coding | None:
    """How a body is compressed.

    Args:
        header: ``Content-Encoding`` as received.

    Raises:
        InvalidRequest: ``VALID_004`` if it is compressed in a way, or so many times, that is not supported.
    """
    if header is None:
        return None
    name = header.strip().lower()
    coding = _BY_NAME.get(name)
    if coding is None and name not in (b"", b"identity"):
        raise InvalidRequest(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding {header[:40]!r} is not supported; use 'gzip', 'deflate' or none.",
        )
    return coding


def accepted(header: bytes | None) -> Coding | None:
    """The way to compress that a client likes best; None: send it plain.

    Args:
        header: ``Accept-Encoding`` as received.
    """
    best, best_weight = None, 0.0
    for item in (header or b"").split(b",")[:16]:
        name, _, parameters = item.partition(b";")
        coding = _BY_NAME.get(name.strip().lower())
        weight = _weight(parameters)
        if coding is not None and weight > best_weight:
            best, best_weight = coding, weight
    return best


def _weight(parameters: bytes) -> float:
    name, _, value = parameters.partition(b"=")
    if name.strip().lower() != b"q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def deflated(body: bytes, coding: Coding) -> bytes:
    """Compresses a whole body."""
    compressor = zlib.compressobj(_LEVEL, wbits=coding.window_bits)
    return compressor.compress(body) + compressor.flush()


async def deflate(body: bytes, coding: Coding) -> bytes:
    """Compresses a whole body, a large one in a thread."""
    if len(body) <= ON_LOOP:
        return deflated(body, coding)
    return await asyncio.to_thread(deflated, body, coding)


async def inflate(body: Body, coding: Coding, *, limit: int) -> bytearray:
    """Inflates a whole body, a large one in a thread.

    Args:
        body: As received.
        coding: How it is compressed.
        limit: The most bytes it may become.

    Raises:
        InvalidRequest: ``VALID_001`` if it is damaged or incomplete, ``VALID_003`` if it becomes too large, or grows like
            nothing but a bomb does.
    """
    inflater = Inflater(body, coding, limit=limit)
    if not inflater.advance(ON_LOOP):
        await asyncio.to_thread(inflater.advance, limit)
    return inflater.data


class Inflater:
    """Inflates one body in steps.

    Args:
        body: As received.
        coding: How it is compressed.
        limit: The most bytes it may become.
    """

    def __init__(self, body: Body, coding: Coding, *, limit: int) -> None:
        self.data = bytearray()
        self._body = memoryview(body)
        self._read = 0  # bytes given to the decoder
        self._coding = coding
        self._limit = limit
        self._members = 0
        self._rest: bytes | memoryview = b""  # given to the decoder and not taken, or of the next member
        self._decoder = self._begin()

    def advance(self, size: int) -> bool:
        """Inflates until about ``size`` more bytes are there; True at the end of the body.

        Raises:
            InvalidRequest: See :func:`inflate`.
        """
        goal = min(len(self.data) + size, self._limit)
        while True:
            if len(self.data) > self._limit or self._is_bomb():
                raise self._too_large()
            if self._decoder.eof and self._ended():
                return True
            if len(self.data) > goal:
                return False
            self._step(goal + 1 - len(self.data))

    def _step(self, room: int) -> None:
        piece = self._rest or self._next_piece()
        try:
            grown = self._decoder.decompress(piece, min(room, _MOST_AT_ONCE))
        except zlib.error as error:
            raise self._damaged(str(error)) from None
        self._rest = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
        if not piece and not grown and not self._decoder.eof:
            raise self._damaged("it is incomplete")
        self.data += grown

    def _next_piece(self) -> memoryview:
        piece = self._body[self._read : self._read + _PIECE]
        self._read += len(piece)
        return piece

    def _ended(self) -> bool:
        """At the end of a member: whether it was the last. If not, the next one begins."""
        self._rest = self._rest or self._next_piece()
        if not len(self._rest):
            return True
        if self._coding is not Coding.GZIP:
            raise self._damaged("bytes follow its end")
        self._decoder = self._begin()
        return False

    def _begin(self) -> zlib._Decompress:
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise self._damaged(f"it has more than {_MOST_MEMBERS} members")
        return zlib.decompressobj(self._coding.window_bits)

    def _is_bomb(self) -> bool:
        return len(self.data) > _FREE + _MOST_RATIO * self._read

    def _too_large(self) -> InvalidRequest:
        return InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"The body of {len(self._body)} bytes inflates to more than {self._limit}, or to more than "
            f"{_MOST_RATIO} times its size; send less, or plain.",
            details={"limit": self._limit},
        )

    def _damaged(self, why: str) -> InvalidRequest:
        return InvalidRequest(ErrorCode.MALFORMED, f"The body is not valid {self._coding.label}: {why}.")
