# SPDX-License-Identifier: Apache-2.0
"""Guards bytes on their way in: no more than declared, not slower than allowed, and only while somebody wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from core.clock import Clock
from core.errors import DeadlineExceeded, ErrorCode, InvalidRequest, NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a sender is waited for."""

    clock: Clock
    idle_seconds: float  # longest pause between two chunks; also how often ``still_wanted`` is asked
    expires_at: datetime  # the end of the upload, however steadily bytes come
    still_wanted: Callable[[], Awaitable[None]]  # raises once the upload was given up


def check_length(declared: int, content_length: int | None, *, path: str) -> None:
    """Compares the declared size with the request's Content-Length, before a byte is read.

    Args:
        declared: The file's size in the upload.
        content_length: The header's value; None if the sender gave none.
        path: The file, for the message.

    Raises:
        InvalidRequest: ``VALID_003`` if more is announced than declared, ``VALID_008`` if less.
    """
    if content_length is None or content_length == declared:
        return
    code = ErrorCode.TOO_LARGE if content_length > declared else ErrorCode.LENGTH_MISMATCH
    raise InvalidRequest(
        code, f"File {path!r} was declared with {declared} bytes; the request announces {content_length}."
    )


async def guarded(
    chunks: AsyncIterator[bytes], *, declared: int, path: str, patience: Patience
) -> AsyncIterator[bytes]:
    """The same chunks, as long as they keep within the declaration and keep coming.

    Raises:
        InvalidRequest: ``VALID_003`` once more than ``declared`` bytes arrived.
        DeadlineExceeded: ``TIMEOUT_001`` if nothing came for the longest pause.
        NotFound: ``UPLOAD_001`` once the upload has expired.
    """
    left, asked = declared, patience.clock.monotonic()
    while (chunk := await _next(chunks, path, patience)) is not None:
        left -= len(chunk)
        if left < 0:
            raise InvalidRequest(
                ErrorCode.TOO_LARGE, f"File {path!r} was declared with {declared} bytes; more than that arrived."
            )
        if patience.clock.monotonic() - asked >= patience.idle_seconds:
            await patience.still_wanted()
            asked = patience.clock.monotonic()
        yield chunk


async def _next(chunks: AsyncIterator[bytes], path: str, patience: Patience) -> bytes | None:
    remaining = (patience.expires_at - patience.clock.now()).total_seconds()
    if remaining <= 0:
        raise _expired(path)
    try:
        async with asyncio.timeout(min(patience.idle_seconds, remaining)):
            return await anext(chunks, None)
    except TimeoutError:
        if remaining <= patience.idle_seconds:
            raise _expired(path) from None
        raise DeadlineExceeded(
            ErrorCode.TIMEOUT, f"No byte of {path!r} arrived for {patience.idle_seconds:g} s. Send the file again."
        ) from None


def _expired(path: str) -> NotFound:
    return NotFound(ErrorCode.UPLOAD_NOT_FOUND, f"The upload expired before all of {path!r} arrived. Start again.")
