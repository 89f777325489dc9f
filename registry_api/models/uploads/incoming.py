# SPDX-License-Identifier: Apache-2.0
"""Guards bytes on their way in: no more than declared, and not slower than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from core.errors import DeadlineExceeded, ErrorCode, InvalidRequest


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
    chunks: AsyncIterator[bytes], *, declared: int, path: str, idle_seconds: float
) -> AsyncIterator[bytes]:
    """The same chunks, as long as they keep within the declaration and keep coming.

    Raises:
        InvalidRequest: ``VALID_003`` once more than ``declared`` bytes arrived.
        DeadlineExceeded: ``TIMEOUT_001`` if nothing came for ``idle_seconds``.
    """
    left = declared
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise DeadlineExceeded(
                ErrorCode.TIMEOUT, f"No byte of {path!r} arrived for {idle_seconds:g} s. Send the file again."
            ) from None
        if chunk is None:
            return
        left -= len(chunk)
        if left < 0:
            raise InvalidRequest(
                ErrorCode.TOO_LARGE, f"File {path!r} was declared with {declared} bytes; more than that arrived."
            )
        yield chunk
