# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way into a store, counted and hashed as they pass.

The iteration ends normally only if exactly the declared bytes arrived. Otherwise it raises, which makes the write that
consumes it fail before anything becomes visible.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from artifacts.digest import Digest, StreamingDigest
from core.errors import ErrorCode, InvalidRequest, SignatureError


class CheckedChunks:
    """Passes ``chunks`` on; raises instead of ending if size or digest are not the declared ones."""

    def __init__(self, chunks: AsyncIterator[bytes], *, digest: Digest, size: int) -> None:
        self._chunks = chunks
        self._digest = digest
        self._size = size
        self._seen = StreamingDigest()
        self.failure: BaseException | None = None  # what ended the iteration early: the source's own error, or ours

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._next()
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self.failure = error
            raise

    async def _next(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._check_complete()
            raise
        self._seen.update(chunk)
        if self._seen.size > self._size:
            raise _wrong_length(f"more than {self._size}", self._size)
        return chunk

    def _check_complete(self) -> None:
        if self._seen.size != self._size:
            raise _wrong_length(str(self._seen.size), self._size)
        if self._seen.value != self._digest:
            raise SignatureError(
                ErrorCode.DIGEST_MISMATCH,
                f"The bytes hash to {self._seen.value}; expected {self._digest}. Send them again.",
                details={"got": self._seen.value, "expected": self._digest},
            )


def _wrong_length(got: str, expected: int) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.LENGTH_MISMATCH,
        f"Got {got} bytes; expected {expected}. Send exactly the declared size.",
        details={"expected": expected},
    )
