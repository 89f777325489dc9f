# SPDX-License-Identifier: Apache-2.0
"""Batches that another process executes, which may go away and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import pytest_asyncio

from artifacts.testing import refused
from core.errors import ErrorCode, OperatorError, TensorError, Unavailable
from core.inference import InferenceRequest
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.batching.batcher import Batcher
from runners.batching.cores import Cores
from runners.batching.policy import BatchLimits
from runners.remote.testing import Asked, ManualHandle
from runners.testing import POISON, request_of

SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 2)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 2)),),
)


class Process(ManualHandle):
    """A process that the test answers for, ends and starts."""

    def __init__(self) -> None:
        super().__init__(SIGNATURE)
        self._back: Callable[[], None] | None = None

    def when_ready(self, call: Callable[[], None]) -> None:
        self._back = call

    def die(self) -> None:
        self.ready = False
        self.answer_all(Unavailable(ErrorCode.MODEL_NOT_READY, "Gone.", retry_after=1.0))

    def come_back(self) -> None:
        self.ready = True
        assert self._back is not None
        self._back()

    def execute(self) -> None:
        """Answers everything as the model would."""
        asked, self.asked = self.asked, []
        for one in asked:
            one.answer(_computed(one))


def _computed(one: Asked) -> dict[str, Array] | Exception:
    x = one.request.inputs["x"]
    if (x == POISON).any():
        return TensorError(ErrorCode.TENSOR_REJECTED, "Poison.")
    return {"y": 2 * x + 1}


@pytest.fixture
def process() -> Process:
    return Process()


@pytest_asyncio.fixture
async def batcher(process: Process) -> AsyncIterator[Batcher]:
    made = Batcher(process, limits=BatchLimits(), instances=1, label="acme/fake@1", owner="acme")
    yield made
    made.close()


def row(value: float, **fields: float) -> InferenceRequest:
    return request_of({"x": np.full((1, 2), value, np.float32)}, **fields)  # type: ignore[arg-type]


async def sent(batcher: Batcher, *requests: InferenceRequest) -> list[asyncio.Task[dict[str, Array]]]:
    """Submits requests together and lets the loop turn until they are under way."""
    tasks = [asyncio.ensure_future(batcher.infer(request)) for request in requests]
    for _ in range(4):
        await asyncio.sleep(0)
    return tasks


async def test_what_waits_becomes_one_message(batcher: Batcher, process: Process) -> None:
    """While one execution is under way the others wait; then they cross merged, and each gets its own rows."""
    (first,) = await sent(batcher, row(0))
    later = await sent(batcher, *(row(n) for n in (1, 2)))
    assert [len(one.request.inputs["x"]) for one in process.asked] == [1]
    seen = 0
    while not all(task.done() for task in (first, *later)):
        seen += len(process.asked)
        process.execute()
        await asyncio.sleep(0)
    assert seen <= 3
    assert [task.result()["y"].tolist() for task in (first, *later)] == [[[2 * n + 1] * 2] for n in range(3)]


async def test_the_tenant_crosses_with_the_batch(batcher: Batcher, process: Process) -> None:
    """What is sent is the model's owner's, whoever asked."""
    (task,) = await sent(batcher, request_of({"x": np.ones((1, 2), np.float32)}, tenant="other"))
    assert process.asked[0].request.tenant == "acme"
    process.execute()
    await task


async def test_a_process_that_ends_fails_only_what_it_executed(batcher: Batcher, process: Process) -> None:
    """MODEL_002 for what was under way; what waited is executed by the next process."""
    (running,) = await sent(batcher, row(1))
    (waiting,) = await sent(batcher, row(2))
    process.die()
    with refused(ErrorCode.MODEL_NOT_READY):
        await running
    for _ in range(4):
        await asyncio.sleep(0)
    assert process.asked == []
    assert not waiting.done()
    process.come_back()
    await process.reached(1)
    process.execute()
    assert (await waiting)["y"].tolist() == [[5, 5]]


async def test_a_lost_batch_is_not_halved(batcher: Batcher, process: Process) -> None:
    """Whoever of them ended the process would end the next one too: none is sent again."""
    first = await sent(batcher, row(0))
    together = await sent(batcher, *(row(n) for n in range(1, 9)))
    process.execute()
    await asyncio.gather(*first)
    for _ in range(4):
        await asyncio.sleep(0)
    under_way = sum(len(one.request.inputs["x"]) for one in process.asked)
    process.die()
    await asyncio.sleep(0)
    lost = [task for task in together if task.done()]
    assert len(lost) == under_way
    for task in lost:
        with refused(ErrorCode.MODEL_NOT_READY):
            task.result()
    process.come_back()
    while not all(task.done() for task in together):
        process.execute()
        await asyncio.sleep(0)
    assert sum(task.exception() is None for task in together) == len(together) - under_way


async def test_a_request_fails_alone(batcher: Batcher, process: Process) -> None:
    """A batch the model cannot process is halved until the one at fault is found."""
    first = await sent(batcher, row(0))
    together = await sent(batcher, row(1), row(POISON), row(3))
    while not all(task.done() for task in (*first, *together)):
        process.execute()
        await asyncio.sleep(0)
    assert [task.exception() is None for task in together] == [True, False, True]


async def test_nobody_waits_longer_than_the_deadline(batcher: Batcher, process: Process) -> None:
    """An execution nobody waits for any more is given up there, and the model takes the next."""
    loop = asyncio.get_running_loop()
    (task,) = await sent(batcher, row(1, deadline=loop.time() + 0.01))
    (asked,) = process.asked
    with refused(ErrorCode.TIMEOUT):
        await task
    assert asked.cancelled
    process.asked.clear()
    (following,) = await sent(batcher, row(2))
    process.execute()
    assert (await following)["y"].tolist() == [[5, 5]]


async def test_a_deadline_holds_while_there_is_no_process(batcher: Batcher, process: Process) -> None:
    """What waits for the next process ends with TIMEOUT_001 if that comes too late."""
    process.ready = False
    (task,) = await sent(batcher, row(1, deadline=asyncio.get_running_loop().time() + 0.01))
    with refused(ErrorCode.TIMEOUT):
        await task
    assert batcher.rows_waiting == 0


async def test_what_cannot_be_sent_fails(batcher: Batcher, process: Process) -> None:
    """An error of the way to the process is the request's answer; the next request is tried again."""
    process.refusal = OperatorError(ErrorCode.INTERNAL, "No way.")
    (task,) = await sent(batcher, row(1))
    with refused(ErrorCode.INTERNAL):
        await task
    process.refusal = None
    (task,) = await sent(batcher, row(1))
    process.execute()
    await task


async def test_closing_gives_up_what_runs(batcher: Batcher, process: Process) -> None:
    """Every caller hears MODEL_002 and the execution is cancelled there."""
    tasks = await sent(batcher, row(1), row(2))
    batcher.close()
    for task in tasks:
        with refused(ErrorCode.MODEL_NOT_READY):
            await task
    assert all(one.cancelled for one in process.asked)
    assert batcher.join(0)


async def test_a_model_without_its_process_keeps_no_core(process: Process) -> None:
    """Where models share cores, one that waits for its process does not stand in the others' way."""
    cores = Cores(1)
    away, other = Process(), process
    batchers = [
        Batcher(each, limits=BatchLimits(), instances=1, label=f"{owner}/fake@1", owner=owner, cores=cores)
        for each, owner in ((away, "acme"), (other, "beta"))
    ]
    (running,) = await sent(batchers[1], row(0))
    (held,) = await sent(batchers[0], row(1))
    away.die()
    with refused(ErrorCode.MODEL_NOT_READY):
        await held
    (stuck,) = await sent(batchers[0], row(1))
    for n in range(3):
        other.execute()
        await running
        (running,) = await sent(batchers[1], row(n))
    assert not stuck.done()
    away.come_back()
    await away.reached(1)
    for each in (away, other):
        each.execute()
    await asyncio.gather(stuck, running)
    for batcher in batchers:
        batcher.close()
