# SPDX-License-Identifier: Apache-2.0
"""A runner in another process that is killed, stopped and started again, and shared by several API workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import numpy as np
import psutil
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode, Unavailable
from core.tensors import Array
from deploy.local.stack import ROOT
from runners.interface import StopSignal
from runners.remote.endpoint import Listener
from runners.remote.handle import RemoteHandle, attach
from runners.remote.limits import WireLimits
from runners.remote.server import RunnerServer
from runners.testing import FakeRunner, request_of
from tests.integration.runners.runner_program import served

PROGRAM = Path(__file__).with_name("runner_program.py")
LIMITS = WireLimits(silence_s=0.4)
SMALL = np.ones((1, 4), np.float32)
LARGE = np.ones((1, 150_000), np.float32)


class Recording(FakeRunner):
    """Notes the first value of each row of each batch."""

    def __init__(self, *, width: int) -> None:
        super().__init__(width=width)
        self.seen: list[list[float]] = []

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        self.seen.append(inputs["x"][:, 0].tolist())
        return super().run(inputs, stop)


class Runner:
    """The runner's process, which a test may kill and start again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, held: bool = False) -> psutil.Process:
        command = [sys.executable, str(PROGRAM), str(self.path), *(["held"] if held else [])]
        self._processes.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}))
        return psutil.Process(self._processes[-1].pid)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    made = Runner(tmp_path / "run" / "runner.sock")
    yield made
    made.end()


@pytest.fixture
async def handles() -> AsyncIterator[list[RemoteHandle]]:
    """What a test attached; closed at its end."""
    attached: list[RemoteHandle] = []
    yield attached
    for handle in attached:
        await handle.close()


async def attached(path: Path, handles: list[RemoteHandle]) -> RemoteHandle:
    loaded = await attach(path, limits=LIMITS, max_wait_s=30, within_s=30)
    assert isinstance(loaded.handle, RemoteHandle)
    handles.append(loaded.handle)
    return loaded.handle


async def until(handle: RemoteHandle, *, ready: bool) -> float:
    """Waits until the handle says so; the seconds it took."""
    started = time.monotonic()
    async with asyncio.timeout(20):
        while handle.ready is not ready:
            await asyncio.sleep(0.002)
    return time.monotonic() - started


def shared_memory() -> int:
    """Mappings of tensors in this process."""
    return Path("/proc/self/maps").read_text().count("memfd:furoshiki-tensors")


async def test_a_killed_runner_fails_fast_and_its_successor_is_used(
    runner: Runner, handles: list[RemoteHandle]
) -> None:
    """kill -9: everything in flight gets MODEL_002 within 100 ms or so, nothing leaks, and the next runner is found."""
    process = runner.start(held=True)
    handle = await attached(runner.path, handles)
    mapped = shared_memory()
    tasks = [asyncio.ensure_future(handle.infer(request_of({"x": x}))) for x in (SMALL, LARGE) for _ in range(50)]
    await asyncio.sleep(0.1)
    process.kill()
    started = time.monotonic()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    took = time.monotonic() - started
    assert took < 3
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert not handle.ready
    async with asyncio.timeout(5):
        while shared_memory():  # an attempt to connect to what is left of the process may be under way
            await asyncio.sleep(0.01)
    runner.start()
    await until(handle, ready=True)
    assert shared_memory() == mapped
    np.testing.assert_array_equal((await handle.infer(request_of({"x": LARGE})))["y"], 2 * LARGE + 1)


async def test_a_stopped_runner_is_noticed(runner: Runner, handles: list[RemoteHandle]) -> None:
    """SIGSTOP: not ready soon, what waits ends at its deadline, what comes is refused; SIGCONT: ready again."""
    process = runner.start()
    handle = await attached(runner.path, handles)
    process.send_signal(signal.SIGSTOP)
    deadline = asyncio.get_running_loop().time() + 0.2
    started = time.monotonic()
    with refused(ErrorCode.TIMEOUT):
        await handle.infer(request_of({"x": SMALL}, deadline=deadline))
    assert time.monotonic() - started < 5
    assert await until(handle, ready=False) < 10
    with refused(ErrorCode.MODEL_NOT_READY):
        await handle.infer(request_of({"x": SMALL}))
    process.send_signal(signal.SIGCONT)
    await until(handle, ready=True)
    np.testing.assert_array_equal((await handle.infer(request_of({"x": SMALL})))["y"], 2 * SMALL + 1)


async def test_batches_form_across_workers(tmp_path: Path, handles: list[RemoteHandle]) -> None:
    """What two workers ask while the runner is busy becomes one batch, and each gets its own rows back."""
    fake, path = Recording(width=4), tmp_path / "run" / "runner.sock"
    fake.gate.clear()
    loaded = served(fake)
    server = RunnerServer(loaded, Listener(path), limits=LIMITS)
    workers = [await attached(path, handles) for _ in range(2)]
    first = asyncio.ensure_future(workers[0].infer(request_of({"x": SMALL})))
    while not fake.batches:
        await asyncio.sleep(0.001)
    inputs = [np.full((1, 4), number, np.float32) for number in range(10)]
    tasks = [asyncio.ensure_future(workers[number % 2].infer(request_of({"x": x}))) for number, x in enumerate(inputs)]
    while sum(len(session._tickets) for session in server._sessions) < 11:
        await asyncio.sleep(0.001)
    fake.gate.set()
    for x, result in zip(inputs, await asyncio.gather(*tasks), strict=True):
        np.testing.assert_array_equal(result["y"], 2 * x + 1)
    await first
    assert any({row % 2 for row in batch} == {0, 1} for batch in fake.seen)  # their size is the batcher's choice
    for handle in handles:
        await handle.close()
    await server.close(drain_s=1)
    await loaded.handle.close()
