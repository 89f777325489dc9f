# SPDX-License-Identifier: Apache-2.0
"""Guards on bytes on their way in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.errors import DeadlineExceeded, ErrorCode, InvalidRequest
from registry_api.models.uploads.incoming import check_length, guarded


async def chunks(*parts: bytes, then_hang: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then_hang:
        await asyncio.Event().wait()


async def taken(source: AsyncIterator[bytes], declared: int, idle_seconds: float = 5) -> bytes:
    return b"".join([part async for part in guarded(source, declared=declared, path="m", idle_seconds=idle_seconds)])


async def test_chunks_within_the_declaration_pass_unchanged() -> None:
    """Fewer bytes pass too: that they are too few, the store says."""
    assert await taken(chunks(b"ab", b"", b"c"), declared=3) == b"abc"
    assert await taken(chunks(b"a"), declared=3) == b"a"


async def test_the_first_byte_too_many_is_refused() -> None:
    """VALID_003, before the rest is read."""
    with pytest.raises(InvalidRequest) as caught:
        await taken(chunks(b"abc", b"d", then_hang=True), declared=3)
    assert caught.value.code is ErrorCode.TOO_LARGE


async def test_a_silent_sender_is_given_up() -> None:
    """TIMEOUT_001, retryable."""
    with pytest.raises(DeadlineExceeded) as caught:
        await taken(chunks(b"a", then_hang=True), declared=3, idle_seconds=0.001)
    assert caught.value.code is ErrorCode.TIMEOUT


def test_an_announced_length_must_be_the_declared_one() -> None:
    """More is VALID_003, less VALID_008, none is judged while streaming."""
    check_length(3, 3, path="m")
    check_length(3, None, path="m")
    for announced, code in ((4, ErrorCode.TOO_LARGE), (2, ErrorCode.LENGTH_MISMATCH)):
        with pytest.raises(InvalidRequest) as caught:
            check_length(3, announced, path="m")
        assert caught.value.code is code
