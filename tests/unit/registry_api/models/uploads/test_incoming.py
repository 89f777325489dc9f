# SPDX-License-Identifier: Apache-2.0
"""Guards on bytes on their way in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from core.clock import ManualClock
from core.errors import Conflict, DeadlineExceeded, ErrorCode, InvalidRequest, NotFound
from registry_api.models.uploads.incoming import Patience, check_length, guarded


async def chunks(*parts: bytes, then_hang: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then_hang:
        await asyncio.Event().wait()


async def nobody_gave_it_up() -> None:
    pass


def patience(
    clock: ManualClock, idle_seconds: float, still_wanted: Callable[[], Awaitable[None]] = nobody_gave_it_up
) -> Patience:
    expires_at = clock.now() + timedelta(hours=1)
    return Patience(clock=clock, idle_seconds=idle_seconds, expires_at=expires_at, still_wanted=still_wanted)


async def taken(source: AsyncIterator[bytes], declared: int, idle_seconds: float = 5) -> bytes:
    waited = patience(ManualClock(), idle_seconds)
    return b"".join([part async for part in guarded(source, declared=declared, path="m", patience=waited)])


async def drained(source: AsyncIterator[bytes]) -> None:
    async for _ in source:
        pass


async def slowly(clock: ManualClock, seconds: float) -> AsyncIterator[bytes]:
    """One byte after another, for ever."""
    while True:
        clock.advance(seconds)
        yield b"a"


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


async def test_a_sender_who_is_never_silent_is_stopped_when_the_upload_expires() -> None:
    """A byte every 59 s keeps within the longest pause; after one hour it is UPLOAD_001."""
    clock = ManualClock()
    with pytest.raises(NotFound) as caught:
        await drained(guarded(slowly(clock, 59), declared=1000, path="m", patience=patience(clock, 60)))
    assert (caught.value.code, clock.monotonic()) == (ErrorCode.UPLOAD_NOT_FOUND, 62 * 59)


async def test_a_silent_sender_is_not_waited_for_beyond_the_upload() -> None:
    """The wait ends with the upload if that comes before the longest pause."""
    waited = Patience(
        clock=ManualClock(),
        idle_seconds=3600,
        expires_at=ManualClock().now() + timedelta(milliseconds=1),
        still_wanted=nobody_gave_it_up,
    )
    with pytest.raises(NotFound) as caught:
        await anext(guarded(chunks(then_hang=True), declared=1, path="m", patience=waited))
    assert caught.value.code is ErrorCode.UPLOAD_NOT_FOUND


async def test_a_sender_is_stopped_soon_after_the_upload_was_given_up() -> None:
    """It is asked about once per longest pause, not for each chunk."""
    clock, asked = ManualClock(), 0

    async def given_up_at_the_third_question() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Conflict(ErrorCode.STATE_CONFLICT, "It is aborted.")

    waited = patience(clock, 60, given_up_at_the_third_question)
    with pytest.raises(Conflict):
        await drained(guarded(slowly(clock, 10), declared=1000, path="m", patience=waited))
    assert (asked, clock.monotonic()) == (3, 180)
