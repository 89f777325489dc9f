# SPDX-License-Identifier: Apache-2.0
"""A start that is told to end does not go on until it succeeds."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners import hosting


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that reach the server's own handler, as in a worker of BentoML's supervisor."""
    signals: list[int] = []

    def note(number: int, _at: FrameType | None) -> None:
        signals.append(number)

    monkeypatch.setattr(hosting, "_is_worker", lambda: True)
    before = signal.signal(signal.SIGTERM, note)
    yield signals
    assert signal.signal(signal.SIGTERM, before) is note


async def test_sigterm_ends_a_start(heard: list[int]) -> None:
    """SIGTERM while the model is being waited for ends the start, and the server still learns of the signal."""
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    starting = asyncio.ensure_future(hosting._unless_ended(waits()))
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    with refused(ErrorCode.INIT_FAILED, "is ending"):
        await starting
    assert heard == [signal.SIGTERM]


async def test_a_start_that_succeeds_or_fails_is_as_it_was(heard: list[int]) -> None:
    """Without a signal the result or the error is the start's own, and the server's handler is in place again."""

    async def works() -> str:
        return "open"

    async def fails() -> None:
        raise RuntimeError("unexpected")

    assert await hosting._unless_ended(works()) == "open"
    with pytest.raises(RuntimeError, match="unexpected"):
        await hosting._unless_ended(fails())
    assert heard == []


async def test_a_busy_supervisor_is_asked_again(heard: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot start asks its supervisor to end until the supervisor passes the signal on."""
    asked: list[tuple[int, int]] = []
    kill = os.kill

    def forgetful(process: int, number: int) -> None:
        asked.append((process, number))
        if len(asked) == 3:
            kill(os.getpid(), number)

    monkeypatch.setattr(hosting, "_PAUSE_S", 0.01)
    monkeypatch.setattr(os, "kill", forgetful)
    await hosting._end_supervisor()
    assert asked == [(os.getppid(), signal.SIGTERM)] * 3
    assert heard == [signal.SIGTERM]
