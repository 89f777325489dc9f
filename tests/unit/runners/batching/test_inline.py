# SPDX-License-Identifier: Apache-2.0
"""Execution on the event loop: when it begins, when it ends, and that nothing else changes by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping

import numpy as np
import pytest
import pytest_asyncio

from core.errors import DeadlineExceeded, ErrorCode, TensorError, Unavailable
from core.inference import InferenceRequest
from core.tensors import Array
from runners.batching import batcher as module
from runners.batching.batcher import Batcher
from runners.batching.pace import SAMPLES
from runners.batching.policy import BatchLimits
from runners.batching.testing import known_cost
from runners.interface import StopSignal
from runners.testing import POISON, FakeRunner, request_of


class Stopwatch:
    """Stands for the ``time`` module: moves only when a runner says how long it took."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class TimedRunner(FakeRunner):
    """Takes ``cost`` seconds by the stopwatch and notes whether it ran on the loop's thread."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.cost = 0.0001
        self.here: list[bool] = []
        self._watch = watch
        self._loop_thread = threading.get_ident()

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        self.here.append(threading.get_ident() == self._loop_thread)
        self._watch.now += self.cost
        return super().run(inputs, stop)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> TimedRunner:
    watch = Stopwatch()
    monkeypatch.setattr(module, "time", watch)
    return TimedRunner(watch)


MakeBatcher = Callable[..., Batcher]


@pytest_asyncio.fixture
async def make(runner: TimedRunner) -> AsyncIterator[MakeBatcher]:
    made: list[Batcher] = []

    def factory(**limits: float) -> Batcher:
        chosen = BatchLimits(**{"inline_below_s": 0.001, **limits})  # type: ignore[arg-type]
        batcher = Batcher(runner, limits=chosen, instances=1, label="acme/fake@1", curve=known_cost(lambda rows: 0.001))
        made.append(batcher)
        return batcher

    yield factory
    for batcher in made:
        runner.gate.set()
        batcher.close()
        await asyncio.to_thread(batcher.join, 5)


def row(value: float, *, deadline: float | None = None) -> InferenceRequest:
    return request_of({"x": np.full((1, 2), value, dtype=np.float32)}, deadline=deadline)


async def warmed(batcher: Batcher) -> Batcher:
    """After as many short batches as it takes."""
    for n in range(SAMPLES):
        await batcher.infer(row(n))
    return batcher


async def test_inline_after_enough_short_batches(make: MakeBatcher, runner: TimedRunner) -> None:
    """The first 16 batches run in a thread; once all were short, the next run on the loop, with the same results."""
    batcher = make()
    for n in range(SAMPLES + 3):
        np.testing.assert_array_equal((await batcher.infer(row(n)))["y"], [[2 * n + 1] * 2])
    assert runner.here == [False] * SAMPLES + [True] * 3


async def test_one_long_batch_sends_the_model_back(make: MakeBatcher, runner: TimedRunner) -> None:
    """A long batch blocks the loop once; then threads again until 16 short ones have been seen."""
    batcher = await warmed(make())
    runner.cost = 0.5
    await batcher.infer(row(1))
    runner.cost = 0.0001
    for n in range(SAMPLES + 1):
        await batcher.infer(row(n))
    assert runner.here[SAMPLES:] == [True] + [False] * SAMPLES + [True]


async def test_a_long_batch_starts_the_count_anew(make: MakeBatcher, runner: TimedRunner) -> None:
    """Fifteen short batches, a long one, fifteen short ones: never inline."""
    batcher = make()
    for cost in [0.0001] * (SAMPLES - 1) + [0.001] + [0.0001] * (SAMPLES - 1):
        runner.cost = cost
        await batcher.infer(row(1))
    assert not any(runner.here)


async def test_a_long_failure_counts_too(make: MakeBatcher, runner: TimedRunner) -> None:
    """A model that fails slowly leaves the loop after its first slow failure."""
    batcher = await warmed(make())
    runner.cost = 0.5
    for _ in range(3):
        with pytest.raises(TensorError):
            await batcher.infer(row(POISON))
    assert runner.here[SAMPLES:] == [True, False, False]


async def test_never_inline_at_zero(make: MakeBatcher, runner: TimedRunner) -> None:
    """``inline_below_s=0`` keeps every batch in a thread, however short."""
    runner.cost = 0.0
    batcher = make(inline_below_s=0.0)
    for n in range(2 * SAMPLES):
        await batcher.infer(row(n))
    assert not any(runner.here)


async def test_a_failing_request_fails_alone_inline(make: MakeBatcher, runner: TimedRunner) -> None:
    """Inline as in threads: the poisoned request gets the error, its neighbours their own rows."""
    batcher = await warmed(make())
    values = [0, 1, POISON, 3, 4]
    results = await asyncio.gather(*(batcher.infer(row(v)) for v in values), return_exceptions=True)
    assert all(runner.here[SAMPLES:])
    for value, result in zip(values, results, strict=True):
        if value == POISON:
            assert isinstance(result, TensorError)
        else:
            assert isinstance(result, dict)
            np.testing.assert_array_equal(result["y"], [[2 * value + 1] * 2])


async def test_inline_leaves_turns_to_others(make: MakeBatcher, runner: TimedRunner) -> None:
    """Several inline batches in a row let other callbacks of the loop run between them."""
    batcher = await warmed(make(max_rows=1))
    seen: list[int] = []

    async def other() -> None:
        while len(runner.batches) < SAMPLES + 3:
            seen.append(len(runner.batches))
            await asyncio.sleep(0)

    await asyncio.gather(*(batcher.infer(row(n)) for n in range(3)), other())
    assert {SAMPLES + 1, SAMPLES + 2} <= set(seen)


async def test_drain_waits_for_retries_inline(make: MakeBatcher) -> None:
    """Drain returns only when the halves of a failed batch have been answered as well."""
    batcher = await warmed(make())
    tasks = [asyncio.ensure_future(batcher.infer(row(v))) for v in (1, POISON, 3)]
    await asyncio.sleep(0)
    await batcher.drain()
    assert not batcher._queue._again
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, dict) for result in results] == [True, False, True]


async def test_drain_and_close_inline(make: MakeBatcher, runner: TimedRunner) -> None:
    """Drain answers what was accepted inline; afterwards nothing is accepted; close may be called twice."""
    batcher = await warmed(make(max_rows=1))
    tasks = [asyncio.ensure_future(batcher.infer(row(n))) for n in range(5)]
    await asyncio.sleep(0)
    await batcher.drain()
    assert len(runner.batches) == SAMPLES + 5
    assert len(await asyncio.gather(*tasks)) == 5
    batcher.close()
    batcher.close()
    with pytest.raises(Unavailable):
        await batcher.infer(row(1))


async def test_close_before_the_turn_inline(make: MakeBatcher, runner: TimedRunner) -> None:
    """Requests accepted in the turn in which the batcher closes are refused, not executed."""
    batcher = await warmed(make())
    task = asyncio.ensure_future(batcher.infer(row(1)))
    await asyncio.sleep(0)
    assert batcher.rows_waiting == 1
    batcher.close()
    with pytest.raises(Unavailable):
        await task
    assert len(runner.batches) == SAMPLES


async def test_deadline_in_the_queue_inline(make: MakeBatcher, runner: TimedRunner) -> None:
    """A deadline that passes before its turn is a timeout, whoever executes."""
    batcher = await warmed(make())
    with pytest.raises(DeadlineExceeded) as caught:
        await asyncio.gather(
            batcher.infer(row(1, deadline=asyncio.get_running_loop().time() - 1)), _hold(batcher, runner)
        )
    assert caught.value.code is ErrorCode.TIMEOUT


async def _hold(batcher: Batcher, runner: TimedRunner) -> None:
    """Keeps the only instance busy for two turns, as a batch in a thread would."""
    batcher._idle -= 1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    batcher._idle += 1
