# SPDX-License-Identifier: Apache-2.0
"""The checks every store makes before it reads, in the same words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO

from artifacts.digest import Digest
from artifacts.stores.failures import not_found
from core.errors import ErrorCode, InvalidRequest


def check_limit(size: int | None, limit: int, digest: Digest) -> None:
    """Checks that a blob may be held in memory.

    Raises:
        NotFound: ``STORE_002`` if there is none (``size`` is None).
        InvalidRequest: ``VALID_003`` if it has more than ``limit`` bytes.
    """
    if size is None:
        raise not_found(digest)
    if size > limit:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"Blob {digest} has {size} bytes; the limit is {limit}.",
            details={"digest": digest, "size": size, "limit": limit},
        )


def check_start(start: int, size: int, digest: Digest) -> None:
    """Checks where a stream is to begin.

    Raises:
        InvalidRequest: ``VALID_002`` unless it lies inside the blob or at its end.
    """
    if not 0 <= start <= size:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Start {start} lies outside blob {digest} of {size} bytes.",
            details={"field": "start", "size": size},
        )


async def gather(pieces: AsyncIterator[bytes]) -> bytes:
    """All pieces joined."""
    whole = BytesIO()
    async for piece in pieces:
        whole.write(piece)
    return whole.getvalue()
