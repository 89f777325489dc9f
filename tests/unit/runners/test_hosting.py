# SPDX-License-Identifier: Apache-2.0
"""A start that is told to end does not go on until it succeeds, nor does one whose supervisor is dead."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

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
    monkeypatch.setenv(hosting._SUPERVISOR, str(os.getppid()))
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


class Opening(hosting.Hosted):
    """Notes that it was opened."""

    name = "opening"
    opened = False

    async def open(self) -> Mapping[str, Any]:
        self.opened = True
        return {}

    async def close(self) -> None:
        raise AssertionError("it was never open")


async def test_a_worker_whose_supervisor_is_dead_does_not_start(
    heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that another process has inherited opens nothing, fails its start at once, and signals nobody."""
    told: list[hosting.Message] = []
    asked: list[tuple[int, int]] = []

    async def nothing(*_: object) -> None:
        raise AssertionError("BentoML's application is not reached")

    async def receive() -> hosting.Message:
        return {"type": "lifespan.startup"}

    async def send(message: hosting.Message) -> None:
        told.append(message)

    monkeypatch.setenv(hosting._SUPERVISOR, str(os.getpid()))  # no process is its own parent
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())  # a system without prctl: this process is to live on
    monkeypatch.setattr(os, "kill", lambda *to: asked.append(to))
    monkeypatch.setattr("core.telemetry.logs.configure", lambda **_: None)  # the log of this process stays as it is
    app = Opening(nothing)
    await app({"type": "lifespan"}, receive, send)
    assert [each["type"] for each in told] == ["lifespan.startup.failed"]
    assert not app.opened
    assert (asked, heard) == ([], [])


async def test_a_supervisor_that_dies_is_asked_no_more(heard: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot start stops asking when its supervisor dies; whoever is its parent then gets no signal."""
    asked: list[int] = []

    def dies(process: int, _number: int) -> None:
        asked.append(process)
        monkeypatch.setattr(os, "getppid", lambda: 1)

    monkeypatch.setattr(hosting, "_PAUSE_S", 0.0)
    monkeypatch.setattr(os, "kill", dies)
    supervisor = os.getppid()
    await hosting._end_supervisor()
    assert asked == [supervisor]
    assert heard == []


def test_the_supervisor_names_itself_to_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no worker is the supervisor of the workers it starts; a worker keeps what it was told."""
    monkeypatch.setenv(hosting._SUPERVISOR, "7")
    monkeypatch.setattr(hosting, "_is_worker", lambda: True)
    hosting.name_supervisor()
    assert hosting._supervisor() == 7
    monkeypatch.setattr(hosting, "_is_worker", lambda: False)
    hosting.name_supervisor()
    assert hosting._supervisor() == os.getpid()
