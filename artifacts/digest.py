# SPDX-License-Identifier: Apache-2.0
"""SHA-256 digests, written ``sha256:<64 lower-case hex digits>`` everywhere.

A digest is public: comparing two of them needs no constant time.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, TypeAlias

from core.errors import ErrorCode, InvalidRequest

Digest: TypeAlias = str  # "sha256:<hex>"

PREFIX: Final = "sha256:"
DIGEST_PATTERN: Final = r"sha256:[0-9a-f]{64}"
_DIGEST: Final = re.compile(DIGEST_PATTERN)


def digest_bytes(data: bytes | memoryview) -> Digest:
    """The digest of ``data``."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def parse_digest(text: str) -> Digest:
    """Returns ``text`` if it is a digest.

    Raises:
        InvalidRequest: ``VALID_002`` if it is not.
    """
    if _DIGEST.fullmatch(text) is None:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Digest {text[:80]!r} is not a digest; expected 'sha256:' and 64 lower-case hex digits.",
            details={"field": "digest"},
        )
    return text


def hex_of(digest: Digest) -> str:
    """The 64 hex digits of ``digest``."""
    return digest.removeprefix(PREFIX)


class StreamingDigest:
    """The digest of bytes that arrive in pieces. Memory does not grow with their number."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._size = 0

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Adds the next piece."""
        self._hash.update(chunk)
        self._size += chunk.nbytes if isinstance(chunk, memoryview) else len(chunk)

    @property
    def size(self) -> int:
        """Bytes seen so far."""
        return self._size

    @property
    def value(self) -> Digest:
        """The digest of everything seen so far."""
        return PREFIX + self._hash.hexdigest()
