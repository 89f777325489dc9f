# SPDX-License-Identifier: Apache-2.0
"""Compressed bodies: what is inflated, how far, and what a client is taken to accept."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from services.edge.compression import Coding, Inflater, accepted, coding_of, deflate, deflated, inflate

DATA = random.Random(7).randbytes(300_000) + b"text " * 100_000


@pytest.mark.parametrize("coding", Coding)
@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, len(DATA)])
async def test_round_trip(coding: Coding, size: int) -> None:
    """What was compressed is inflated to what it was, whether it takes a thread or not."""
    assert await inflate(await deflate(DATA[:size], coding), coding, limit=len(DATA)) == DATA[:size]


async def test_a_size_at_the_limit() -> None:
    """A body of exactly the limit passes; one byte more does not."""
    body = deflated(DATA, Coding.GZIP)
    assert await inflate(body, Coding.GZIP, limit=len(DATA)) == DATA
    with refused(ErrorCode.TOO_LARGE):
        await inflate(body, Coding.GZIP, limit=len(DATA) - 1)


async def test_a_bomb_is_refused_early() -> None:
    """A body that grows a thousandfold is refused when little of it was inflated, far below its limit."""
    bomb = gzip.compress(bytes(64 * 2**20))
    inflater = Inflater(bomb, Coding.GZIP, limit=2**30)
    with refused(ErrorCode.TOO_LARGE):
        inflater.advance(2**30)
    assert len(inflater.data) < 16 * 2**20


async def test_zeros_are_no_bomb() -> None:
    """A few megabytes may come of almost nothing: a mask of zeros is data."""
    zeros = bytes(4 * 2**20)
    assert await inflate(gzip.compress(zeros), Coding.GZIP, limit=2**30) == zeros


@pytest.mark.parametrize("parts", [1, 2, 100, 1024])
async def test_members(parts: int) -> None:
    """A gzip body may have many members."""
    assert await inflate(gzip.compress(b"x" * 100) * parts, Coding.GZIP, limit=2**20) == b"x" * 100 * parts


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"", Coding.GZIP),
        (b"", Coding.DEFLATE),
        (b"plain", Coding.GZIP),
        (gzip.compress(b"x", mtime=0), Coding.DEFLATE),
        (zlib.compress(b"x"), Coding.GZIP),
        (zlib.compress(DATA)[:-1], Coding.DEFLATE),
        (zlib.compress(DATA)[: 2**17], Coding.DEFLATE),
        (zlib.compress(b"x") * 2, Coding.DEFLATE),
        (gzip.compress(b"x", mtime=0) + b"\x1f", Coding.GZIP),
        (gzip.compress(b"x", mtime=0)[:-8] + bytes(8), Coding.GZIP),
        (gzip.compress(b"", mtime=0) * 1025, Coding.GZIP),
    ],
)
async def test_damage(body: bytes, coding: Coding) -> None:
    """What is incomplete, of another format, has a wrong checksum, or too many parts, is not a body."""
    with refused(ErrorCode.MALFORMED):
        await inflate(body, coding, limit=2**30)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        (b"", None),
        (b"identity", None),
        (b"gzip", Coding.GZIP),
        (b" X-GZip ", Coding.GZIP),
        (b"deflate", Coding.DEFLATE),
    ],
)
def test_content_encoding(header: bytes | None, expected: Coding | None) -> None:
    """The codings HTTP names are known by every name they have."""
    assert coding_of(header) is expected


@pytest.mark.parametrize("header", [b"br", b"zstd", b"gzip, deflate", b"gzip\x00", b"g" * 10_000])
def test_an_unknown_content_encoding(header: bytes) -> None:
    """Any other is 415."""
    with refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE):
        coding_of(header)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        (b"", None),
        (b"*", None),
        (b"identity", None),
        (b"gzip", Coding.GZIP),
        (b"gzip, deflate, br, zstd", Coding.GZIP),
        (b"deflate, gzip", Coding.DEFLATE),
        (b"gzip;q=0", None),
        (b"gzip;q=0.1, deflate;q=0.9", Coding.DEFLATE),
        (b"gzip; Q=0.5, deflate;q=0.2", Coding.GZIP),
        (b"gzip;q=often", None),
        (b"gzip;level=9", Coding.GZIP),
        (b"a," * 10_000 + b"gzip", None),
    ],
)
def test_accept_encoding(header: bytes | None, expected: Coding | None) -> None:
    """The coding a client likes best among those there are; nobody is sent what it did not name."""
    assert accepted(header) is expected
