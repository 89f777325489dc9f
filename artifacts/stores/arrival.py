# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way into a store, counted and, where they are a whole blob, hashed as they pass.

The iteration ends normally only if exactly the declared bytes arrived. Otherwise it raises, which makes the write that
consumes it fail before anything becomes visible.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from artifacts.digest import Digest, StreamingDigest
from artifacts.stores.threads import finished
from core.errors import ErrorCode, InvalidRequest, SignatureError

_LARGE: Final = 256 * 1024  # bytes, from which hashing is worth a thread


class CheckedChunks:
    """Passes ``chunks`` on; raises instead of ending if size or digest are not the declared ones.

    Args:
        chunks: The bytes.
        digest: What they must hash to; None: they are a part, and nothing is hashed.
        size: How many there must be.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, digest: Digest | None, size: int) -> None:
        self._chunks = chunks
        self._digest = digest
        self._left = size
        self._size = size
        self._seen = StreamingDigest()
        self.failure: BaseException | None = None  # what ended the iteration early: the source's own error, or ours

    @contextmanager
    def own_failure(self) -> Iterator[None]:
        """Around the write that consumes this: what ended the iteration comes through, whatever the write made of it."""
        try:
            yield
        except Exception:
            if self.failure is not None:
                raise self.failure from None
            raise

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
        self._left -= len(chunk)
        if self._left < 0:
            raise _wrong_length(f"more than {self._size}", self._size)
        if self._digest is not None:
            if len(chunk) >= _LARGE:
                await finished(self._seen.update, chunk)
            else:
                self._seen.update(chunk)
        return chunk

    def _check_complete(self) -> None:
        if self._left:
            raise _wrong_length(str(self._size - self._left), self._size)
        if self._digest is not None and self._seen.value != self._digest:
            raise other_bytes(self._seen.value, self._digest)


def counted(chunks: AsyncIterator[bytes], size: int) -> CheckedChunks:
    """Passes ``chunks`` on; raises instead of ending if there are not ``size`` bytes."""
    return CheckedChunks(chunks, digest=None, size=size)


def other_bytes(got: Digest, expected: Digest) -> SignatureError:
    """The error for bytes that are not the declared ones: ``SIGN_004``."""
    return SignatureError(
        ErrorCode.DIGEST_MISMATCH,
        f"The bytes hash to {got}; expected {expected}. Send them again.",
        details={"got": got, "expected": expected},
    )


def _wrong_length(got: str, expected: int) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.LENGTH_MISMATCH,
        f"Got {got} bytes; expected {expected}. Send exactly the declared size.",
        details={"expected": expected},
    )
