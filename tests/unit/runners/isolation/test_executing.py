# SPDX-License-Identifier: Apache-2.0
"""Executions in the process of a model: as they come, in threads or on the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping

import numpy as np
import pytest
import pytest_asyncio

from artifacts.testing import refused
from core.errors import ErrorCode, Unavailable
from core.tensors import Array
from runners.batching.pace import SAMPLES
from runners.batching.work import Outcome
from runners.interface import RunnerOptions, StopSignal
from runners.isolation.executing import DirectHandle
from runners.testing import POISON, FakeRunner, request_of

ROW = np.ones((1, 2), np.float32)


class Placed(FakeRunner):
    """Notes in which thread it ran."""

    def __init__(self) -> None:
        super().__init__(width=2)
        self.threads: list[int] = []

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        self.threads.append(threading.get_ident())
        return super().run(inputs, stop)


@pytest.fixture
def runner() -> Placed:
    return Placed()


@pytest_asyncio.fixture
async def handle(runner: Placed) -> AsyncIterator[DirectHandle]:
    made = DirectHandle(runner, options=RunnerOptions(instances=2), inline_below_s=60, label="acme/fake@1")
    yield made
    runner.gate.set()
    await made.close()


async def test_each_request_is_one_execution(handle: DirectHandle, runner: Placed) -> None:
    """Requests that come together are not merged, and each gets its own rows."""
    rows = [np.full((n + 1, 2), n, np.float32) for n in range(5)]
    results = await asyncio.gather(*(handle.infer(request_of({"x": x})) for x in rows))
    assert sorted(runner.batches) == [1, 2, 3, 4, 5]
    for x, result in zip(rows, results, strict=True):
        np.testing.assert_array_equal(result["y"], 2 * x + 1)


async def test_short_executions_run_on_the_loop(handle: DirectHandle, runner: Placed) -> None:
    """After enough of them in a row; before that in threads."""
    for _ in range(SAMPLES + 2):
        await handle.infer(request_of({"x": ROW}))
    here = threading.get_ident()
    assert [ident == here for ident in runner.threads] == [False] * SAMPLES + [True] * 2


@pytest.mark.parametrize("before", [0, SAMPLES])
async def test_a_failure_is_its_own(handle: DirectHandle, before: int) -> None:
    """In a thread or on the loop, the error reaches whoever waits, and the next request is answered."""
    for _ in range(before):
        await handle.infer(request_of({"x": ROW}))
    with refused(ErrorCode.TENSOR_REJECTED):
        await handle.infer(request_of({"x": np.full((1, 2), POISON, np.float32)}))
    np.testing.assert_array_equal((await handle.infer(request_of({"x": ROW})))["y"], 2 * ROW + 1)


async def test_what_nobody_waits_for_is_stopped(handle: DirectHandle, runner: Placed) -> None:
    """A cancelled execution ends early, tells nobody, and its instance is free again."""
    runner.gate.clear()
    outcomes: list[Outcome] = []
    tickets = [handle.submit(request_of({"x": ROW}), outcomes.append) for _ in range(2)]
    for ticket in tickets:
        ticket.cancel()
        ticket.cancel()
    await handle.drain()
    assert outcomes == []
    runner.gate.set()
    await handle.infer(request_of({"x": ROW}))


async def test_closing_stops_what_runs(handle: DirectHandle, runner: Placed) -> None:
    """Close ends executions under way, frees the model and may be called twice."""
    runner.gate.clear()
    handle.submit(request_of({"x": ROW}), lambda _: None)
    await handle.close()
    await handle.close()
    assert runner.closed
    assert not handle.ready
    with pytest.raises(Unavailable):
        runner.run({"x": ROW})
