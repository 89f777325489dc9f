# SPDX-License-Identifier: Apache-2.0
"""The connection to a runner that comes late, goes, hangs or comes back as another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.remote import link
from runners.remote.endpoint import Listener
from runners.remote.handle import RemoteHandle, attach
from runners.remote.limits import WireLimits
from runners.remote.server import RunnerServer
from runners.remote.testing import ManualHandle, connected, loaded

LIMITS = WireLimits(silence_s=0.04)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks again at once, so that no test waits."""
    monkeypatch.setattr(link, "_FIRST_PAUSE_S", 0.0005)
    monkeypatch.setattr(link, "_LONGEST_PAUSE_S", 0.001)


async def turns(handle: RemoteHandle, *, ready: bool) -> None:
    """Returns once the handle says so."""
    async with asyncio.timeout(5):
        while handle.ready is not ready:
            await asyncio.sleep(0)


async def test_a_runner_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    """Attaching before the runner listens succeeds once it does."""
    path = tmp_path / "run" / "runner.sock"
    attaching = asyncio.ensure_future(attach(path, limits=LIMITS, max_wait_s=1, within_s=5))
    await asyncio.sleep(0)
    server = RunnerServer(loaded(ManualHandle()), Listener(path), limits=LIMITS)
    assert (await attaching).model == "model"
    await (await attaching).handle.close()
    await server.close(drain_s=1)


async def test_a_runner_that_does_not_come_is_told(tmp_path: Path) -> None:
    """Without a runner the start is refused, naming the setting."""
    with refused(ErrorCode.INIT_FAILED, "FUROSHIKI_SPLIT__START_S"):
        await attach(tmp_path / "runner.sock", limits=LIMITS, max_wait_s=1, within_s=0.01)


async def test_a_runner_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """Not ready while it is gone, ready again by itself when it is back."""
    async with connected(tmp_path, limits=LIMITS) as pair:
        await pair.server.close(drain_s=0)
        await turns(pair.handle, ready=False)
        again = RunnerServer(loaded(ManualHandle()), Listener(pair.path), limits=LIMITS)
        await turns(pair.handle, ready=True)
        await pair.handle.close()
        await again.close(drain_s=1)


async def test_another_model_is_not_used(tmp_path: Path) -> None:
    """A runner that comes back with another digest is refused: what was said of the model would not be true."""
    async with connected(tmp_path, limits=LIMITS) as pair:
        await pair.server.close(drain_s=0)
        await turns(pair.handle, ready=False)
        other = loaded(ManualHandle())
        other.digest = "sha256:" + "cd" * 32
        again = RunnerServer(other, Listener(pair.path), limits=LIMITS)
        while not again._sessions:
            await asyncio.sleep(0)
        while again._sessions:  # until this worker has looked at what is served there, and left
            await asyncio.sleep(0)
        assert not pair.handle.ready
        await again.close(drain_s=0)


async def test_a_runner_that_hangs_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not answer pings is not ready and gets no requests; with the first sign of life it is ready again."""
    async with connected(tmp_path, limits=LIMITS) as pair:
        (channel,) = pair.server._sessions.values()
        assert channel._transport is not None
        channel._transport.pause_reading()
        await turns(pair.handle, ready=False)
        with refused(ErrorCode.MODEL_NOT_READY):
            pair.handle.submit(None, print)  # type: ignore[arg-type] # refused before it is looked at
        channel._transport.resume_reading()
        await turns(pair.handle, ready=True)
