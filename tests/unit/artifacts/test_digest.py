# SPDX-License-Identifier: Apache-2.0
"""Digests: one spelling, the same whether streamed or not."""

from __future__ import annotations

import pytest

from artifacts.digest import StreamingDigest, digest_bytes, hex_of, parse_digest
from artifacts.testing import refused
from core.errors import ErrorCode

ABC = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example "abc"


def test_digest_of_known_bytes() -> None:
    """SHA-256 of "abc" is the one in the standard."""
    assert digest_bytes(b"abc") == ABC
    assert digest_bytes(memoryview(b"xabc")[1:]) == ABC


def test_streaming_digest_counts_and_hashes() -> None:
    """Pieces of any buffer type give the digest and the size of the whole."""
    digest = StreamingDigest()
    for chunk in (b"a", bytearray(b"b"), memoryview(b"c"), b""):
        digest.update(chunk)
    assert (digest.value, digest.size) == (ABC, 3)


def test_size_counts_bytes_not_elements() -> None:
    """A view of wider elements counts its bytes."""
    digest = StreamingDigest()
    digest.update(memoryview(bytes(8)).cast("I"))
    assert digest.size == 8


def test_hex_of() -> None:
    """The hex digits are those after the prefix."""
    assert hex_of(ABC) == ABC[7:]


@pytest.mark.parametrize(
    "text", ["", "abc", ABC.upper(), ABC[7:], ABC + "0", ABC[:-1], ABC + "\n", "sha512:" + "0" * 64]
)
def test_other_spellings_are_refused(text: str) -> None:
    """Anything but 'sha256:' and 64 lower-case hex digits is no digest."""
    with refused(ErrorCode.INVALID_FIELD, "64 lower-case hex digits"):
        parse_digest(text)


def test_parse_returns_the_digest() -> None:
    """A digest parses to itself."""
    assert parse_digest(ABC) == ABC
