# SPDX-License-Identifier: Apache-2.0
"""The batcher's guarantees, one test each. ``FakeRunner`` is held with its gate, so nothing depends on timing."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Mapping

import numpy as np
import pytest
import pytest_asyncio

from core.errors import DeadlineExceeded, ErrorCode, InvalidRequest, Overloaded, TensorError, Unavailable
from core.inference import InferenceRequest
from core.tensors import Array
from runners.batching.batcher import Batcher
from runners.batching.policy import BatchLimits
from runners.batching.testing import known_cost
from runners.interface import StopSignal
from runners.testing import POISON, FakeRunner, request_of

MakeBatcher = Callable[..., Batcher]


def rows(*values: float, width: int = 2, deadline: float | None = None) -> InferenceRequest:
    """A request with one row per value."""
    return request_of({"x": np.repeat(np.array(values, dtype=np.float32)[:, None], width, axis=1)}, deadline=deadline)


@pytest_asyncio.fixture
async def make() -> AsyncIterator[MakeBatcher]:
    made: list[tuple[Batcher, FakeRunner]] = []

    def factory(runner: FakeRunner, *, instances: int = 1, **limits: float) -> Batcher:
        batcher = Batcher(
            runner,
            limits=BatchLimits(**limits),  # type: ignore[arg-type]
            instances=instances,
            label="acme/fake@1",
            curve=known_cost(lambda rows: 0.001),
        )
        made.append((batcher, runner))
        return batcher

    yield factory
    for batcher, runner in made:
        runner.gate.set()
        batcher.close()
        await asyncio.to_thread(batcher.join, 5)


async def started(runner: FakeRunner, count: int) -> None:
    """Returns when ``count`` executions have begun."""
    async with asyncio.timeout(5):
        while len(runner.batches) < count:
            await asyncio.sleep(0)


async def held(batcher: Batcher, runner: FakeRunner) -> asyncio.Future[dict[str, Array]]:
    """A request whose execution has begun and lasts until the runner's gate opens."""
    runner.gate.clear()
    first = asyncio.ensure_future(batcher.infer(rows(0)))
    await started(runner, 1)
    return first


async def test_idle_runner_starts_at_once(make: MakeBatcher) -> None:
    """A single request to an idle model is executed alone, without waiting for company."""
    runner = FakeRunner()
    result = await make(runner).infer(rows(3))
    np.testing.assert_array_equal(result["y"], [[7, 7]])
    assert runner.batches == [1]


async def test_requests_of_one_turn_share_a_batch(make: MakeBatcher) -> None:
    """Requests that arrive in the same turn of the loop run together, and each gets its own rows."""
    runner = FakeRunner()
    batcher = make(runner)
    results = await asyncio.gather(*(batcher.infer(rows(n, n + 100)) for n in range(5)))
    assert runner.batches == [10]
    for n, result in enumerate(results):
        np.testing.assert_array_equal(result["y"][:, 0], [2 * n + 1, 2 * n + 201])


async def test_queue_becomes_the_next_batch(make: MakeBatcher) -> None:
    """What arrives while the runner is busy runs as one batch when it is free."""
    runner = FakeRunner()
    batcher = make(runner)
    first = await held(batcher, runner)
    others = [asyncio.ensure_future(batcher.infer(rows(n))) for n in range(1, 7)]
    await asyncio.sleep(0)
    assert batcher.rows_waiting == 6
    runner.gate.set()
    await asyncio.gather(first, *others)
    assert runner.batches == [1, 6]
    assert (batcher.rows_waiting, batcher.bytes_waiting) == (0, 0)


async def test_batch_never_exceeds_the_limit(make: MakeBatcher) -> None:
    """Requests are merged up to max_rows; a larger single request runs alone."""
    runner = FakeRunner()
    batcher = make(runner, max_rows=4)
    await asyncio.gather(*(batcher.infer(rows(*range(n))) for n in (3, 3, 1, 9, 2)))
    assert runner.batches == [3, 4, 9, 2]


async def test_other_shapes_never_share(make: MakeBatcher) -> None:
    """Requests of another width run in their own batch and get their own width back."""
    runner = FakeRunner()
    batcher = make(runner)
    narrow, wide = rows(1), rows(1, width=5)
    results = await asyncio.gather(*(batcher.infer(x) for x in (narrow, wide, narrow, wide)))
    assert [result["y"].shape for result in results] == [(1, 2), (1, 5), (1, 2), (1, 5)]
    assert runner.batches == [2, 2]


async def test_model_without_batch_dimension_runs_requests_alone(make: MakeBatcher) -> None:
    """A model with a fixed first dimension gets each request as it came."""
    runner = FakeRunner(batched=False)
    batcher = make(runner)
    results = await asyncio.gather(*(batcher.infer(rows(n, n)) for n in range(3)))
    assert runner.batches == [2, 2, 2]
    assert [float(result["y"][0, 0]) for result in results] == [1, 3, 5]


@pytest.mark.parametrize("limits", [{"max_queue_rows": 2}, {"max_queue_bytes": 16}])
async def test_full_queue_refuses_at_once(make: MakeBatcher, limits: dict[str, int]) -> None:
    """Beyond the rows or bytes limit a request gets QUEUE_001 with a retry time, and the waiting ones are answered."""
    runner = FakeRunner()
    batcher = make(runner, **limits)
    accepted = [await held(batcher, runner)]
    accepted += [asyncio.ensure_future(batcher.infer(rows(n))) for n in (1, 2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await batcher.infer(rows(3))
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.QUEUE_FULL, 1.0)
    runner.gate.set()
    assert len(await asyncio.gather(*accepted)) == 3


async def test_too_many_rows_are_refused(make: MakeBatcher) -> None:
    """One request may bring at most max_request_rows."""
    with pytest.raises(InvalidRequest) as caught:
        await make(FakeRunner(), max_request_rows=2).infer(rows(1, 2, 3))
    assert caught.value.code is ErrorCode.TOO_LARGE


async def test_cancelled_requests_are_not_computed(make: MakeBatcher) -> None:
    """A caller that goes away while waiting leaves the queue, frees its room and disturbs nobody."""
    runner = FakeRunner()
    batcher = make(runner)
    first = await held(batcher, runner)
    waiting = [asyncio.ensure_future(batcher.infer(rows(n))) for n in range(1, 7)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.sleep(0)
    assert batcher.rows_waiting == 3
    runner.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False] * 3
    await first
    assert runner.batches == [1, 3]


async def test_cancelling_one_mid_batch_leaves_the_others(make: MakeBatcher) -> None:
    """One of six cancelled while its batch runs: the five others get their results."""
    runner = FakeRunner()
    batcher = make(runner)
    runner.gate.clear()
    tasks = [asyncio.ensure_future(batcher.infer(rows(n))) for n in range(6)]
    await started(runner, 1)
    tasks[2].cancel()
    runner.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[2], asyncio.CancelledError)
    assert [float(r["y"][0, 0]) for r in results if isinstance(r, dict)] == [1, 3, 7, 9, 11]


async def test_deadline_in_the_queue(make: MakeBatcher) -> None:
    """A request whose deadline passes while it waits gets TIMEOUT_001 and is never computed."""
    runner = FakeRunner()
    batcher = make(runner)
    first = await held(batcher, runner)
    with pytest.raises(DeadlineExceeded) as caught:
        await batcher.infer(rows(1, deadline=asyncio.get_running_loop().time()))
    assert caught.value.code is ErrorCode.TIMEOUT
    assert batcher.rows_waiting == 0
    runner.gate.set()
    await first
    assert runner.batches == [1]


async def test_deadline_during_execution(make: MakeBatcher) -> None:
    """A hung runner cannot hold its callers: they get TIMEOUT_001 at their deadline."""
    runner = FakeRunner()
    batcher = make(runner, max_wait_s=0.01)
    runner.gate.clear()
    with pytest.raises(DeadlineExceeded):
        await batcher.infer(rows(0))


async def test_an_execution_nobody_waits_for_is_stopped(make: MakeBatcher) -> None:
    """A hung execution ends once its last caller timed out or went away; the instance then serves the next request."""
    runner = FakeRunner()
    batcher = make(runner)
    runner.gate.clear()
    gone = asyncio.ensure_future(batcher.infer(rows(1)))
    late = asyncio.ensure_future(batcher.infer(rows(2, deadline=asyncio.get_running_loop().time() + 0.02)))
    await started(runner, 1)
    gone.cancel()
    with pytest.raises(DeadlineExceeded):
        await late
    following = asyncio.ensure_future(batcher.infer(rows(3)))
    await started(runner, 2)
    runner.gate.set()
    np.testing.assert_array_equal((await following)["y"], [[7, 7]])
    assert runner.batches == [2, 1]


async def test_failing_request_fails_alone(make: MakeBatcher) -> None:
    """One poisoned request of eight: it gets the runtime's error, the seven others their results."""
    runner = FakeRunner()
    batcher = make(runner)
    values = [0, 1, 2, POISON, 4, 5, 6, 7]
    results = await asyncio.gather(*(batcher.infer(rows(v)) for v in values), return_exceptions=True)
    for value, result in zip(values, results, strict=True):
        if value == POISON:
            assert isinstance(result, TensorError)
            assert result.code is ErrorCode.TENSOR_REJECTED
        else:
            assert isinstance(result, dict)
            np.testing.assert_array_equal(result["y"][:, 0], [2 * value + 1])
    assert runner.batches == [8, 4, 4, 2, 2, 1, 1]


async def test_instances_run_at_the_same_time(make: MakeBatcher) -> None:
    """Two instances execute two batches at once, a third waits."""
    runner = FakeRunner()
    batcher = make(runner, instances=2, max_rows=1)
    runner.gate.clear()
    tasks = [asyncio.ensure_future(batcher.infer(rows(n))) for n in range(3)]
    await started(runner, 2)
    assert batcher.rows_waiting == 1
    runner.gate.set()
    await asyncio.gather(*tasks)
    assert len(runner.batches) == 3


async def test_drain_ends_old_work_and_refuses_new(make: MakeBatcher) -> None:
    """Drain answers what was accepted, then returns; new requests get MODEL_002."""
    runner = FakeRunner()
    batcher = make(runner, max_rows=1)
    runner.gate.clear()
    tasks = [asyncio.ensure_future(batcher.infer(rows(n))) for n in range(3)]
    await started(runner, 1)
    drained = asyncio.ensure_future(batcher.drain())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await batcher.infer(rows(9))
    assert not drained.done()
    runner.gate.set()
    async with asyncio.timeout(5):
        await drained
    assert all(task.done() for task in tasks)


async def test_close_fails_what_waits(make: MakeBatcher) -> None:
    """Close stops what runs and answers everybody with a retryable error; nobody waits for ever."""
    runner = FakeRunner()
    batcher = make(runner)
    first = await held(batcher, runner)
    waiting = asyncio.ensure_future(batcher.infer(rows(1)))
    await asyncio.sleep(0)
    batcher.close()
    batcher.close()
    for one in (first, waiting):
        with pytest.raises(Unavailable) as caught:
            await one
        assert caught.value.code is ErrorCode.MODEL_NOT_READY


async def test_close_fails_what_would_be_run_again(make: MakeBatcher) -> None:
    """A batch that fails after close is not halved and run again on threads that have ended: its requests are answered."""
    runner = FakeRunner()
    batcher = make(runner)
    runner.gate.clear()
    tasks = [asyncio.ensure_future(batcher.infer(rows(v))) for v in (1, POISON, 3)]
    await started(runner, 1)
    batcher.close()
    runner.gate.set()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3


async def test_close_ends_a_drain(make: MakeBatcher) -> None:
    """A drain that waits for requests which close has failed returns."""
    batcher = make(FakeRunner())
    task = asyncio.ensure_future(batcher.infer(rows(1)))
    await asyncio.sleep(0)
    drained = asyncio.ensure_future(batcher.drain())
    while batcher._changed.is_set():
        await asyncio.sleep(0)
    batcher.close()
    async with asyncio.timeout(5):
        await drained
    with pytest.raises(Unavailable):
        await task


class Deaf(FakeRunner):
    """Does not stop when it is asked to."""

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        return super().run(inputs)


async def test_a_hung_batch_frees_its_callers_after_close(make: MakeBatcher) -> None:
    """Close does not take the time limit away from requests whose batch does not stop."""
    runner = Deaf()
    batcher = make(runner, max_wait_s=0.01)
    task = await held(batcher, runner)
    batcher.close()
    async with asyncio.timeout(5):
        with pytest.raises(DeadlineExceeded):
            await task


class HangsFirst(FakeRunner):
    """Holds its first execution until the gate is set, and no other."""

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        if self.batches:
            self.batches.append(len(inputs["x"]))
            return {"y": 2 * inputs["x"] + 1}
        return super().run(inputs, stop)


async def test_answered_requests_are_let_go(make: MakeBatcher) -> None:
    """While one instance hangs, the requests another one has answered are not kept until the hung one ends."""
    runner = HangsFirst()
    batcher = make(runner, instances=2)
    hung = await held(batcher, runner)
    requests = [rows(n) for n in range(20)]
    inputs = [weakref.ref(request.inputs["x"]) for request in requests]
    await asyncio.gather(*(batcher.infer(request) for request in requests))
    del requests
    gc.collect()
    async with asyncio.timeout(5):  # the thread that told the result may not have come to its next line yet
        while any(array() is not None for array in inputs):
            await asyncio.sleep(0)
    assert not hung.done()
    runner.gate.set()
    await hung
