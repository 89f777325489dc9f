# SPDX-License-Identifier: Apache-2.0
"""How requests end, through the callbacks of ``submit``; and what is counted of them. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from core.errors import DeadlineExceeded, ErrorCode, Overloaded, TensorError
from core.inference import InferenceRequest
from core.telemetry import hot
from runners.batching.batcher import Batcher
from runners.batching.policy import BatchLimits
from runners.batching.testing import VirtualExecutor, VirtualLoop, known_cost
from runners.batching.work import Outcome
from runners.statistics import Counted
from runners.testing import POISON, FakeRunner, request_of

LABEL = "acme/endings@1"


def row(value: float = 1.0, deadline: float | None = None) -> InferenceRequest:
    return request_of({"x": np.full((1, 2), value, dtype=np.float32)}, deadline=deadline)


def virtually(ask: Callable[[Batcher, VirtualLoop], Awaitable[None]], **limits: Any) -> None:
    """Runs ``ask`` with a batcher of a model that takes 0.1 s for any batch, one at a time."""
    loop = VirtualLoop()

    async def main() -> None:
        batcher = Batcher(
            FakeRunner(width=2),
            limits=BatchLimits(**limits),
            instances=1,
            label=LABEL,
            curve=known_cost(lambda rows: 0.1),
        )
        VirtualExecutor(batcher, lambda batch: 0.1)
        await ask(batcher, loop)
        batcher.close()

    loop.run_until_complete(main())
    loop.close()


def test_the_callback_comes_once_and_later() -> None:
    """Never from inside ``submit``; once, with the request's own rows."""
    outcomes: list[Outcome] = []

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        batcher.submit(row(3), outcomes.append)
        assert not outcomes
        await asyncio.sleep(1)
        (outcome,) = outcomes
        assert isinstance(outcome, dict)
        assert outcome["y"].tolist() == [[7, 7]]

    virtually(ask)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.15], ids=["waiting", "running", "answered"])
def test_cancel_may_come_at_any_time_and_twice(after: float) -> None:
    """Whoever cancels is told nothing more; its neighbours are."""
    gone: list[Outcome] = []
    stays: list[Outcome] = []

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        ticket = batcher.submit(row(), gone.append)
        batcher.submit(row(), stays.append)
        await asyncio.sleep(after)
        before = len(gone)
        ticket.cancel()
        ticket.cancel()
        await asyncio.sleep(1)
        assert len(gone) == before == (after > 0.1)
        assert len(stays) == 1
        assert batcher.statistics.cancel.count == (after < 0.1)

    virtually(ask)


def test_a_caller_that_fails_hurts_nobody() -> None:
    """An error in one callback goes to the loop's handler; the others of its batch are answered."""
    complaints: list[dict[str, Any]] = []
    answered: list[Outcome] = []

    def fail(outcome: Outcome) -> None:
        raise RuntimeError("cannot encode")

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        for done in (answered.append, fail, answered.append):
            batcher.submit(row(), done)
        await asyncio.sleep(1)
        assert len(answered) == 2
        assert [str(context["exception"]) for context in complaints] == ["cannot encode"]

    virtually(ask)


def test_a_callback_may_submit_again() -> None:
    """A caller that asks again as soon as it is answered is served like any other."""
    outcomes: list[Outcome] = []

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        def again(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if len(outcomes) < 5:
                batcher.submit(row(POISON if len(outcomes) == 2 else 1), again)

        batcher.submit(row(), again)
        await asyncio.sleep(2)
        assert [isinstance(outcome, dict) for outcome in outcomes] == [True, True, False, True, True]

    virtually(ask)


def test_statistics() -> None:
    """Every request is counted once, under what became of it; batches by their rows; times in nanoseconds."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        first = asyncio.ensure_future(batcher.infer(row()))
        await asyncio.sleep(0.04)
        others = [asyncio.ensure_future(batcher.infer(row(value))) for value in (1, 2, POISON)]
        cancelled = asyncio.ensure_future(batcher.infer(row()))
        late = asyncio.ensure_future(batcher.infer(row(deadline=loop.now + 0.05)))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(Overloaded):
            await batcher.infer(request_of({"x": np.ones((9, 2), dtype=np.float32)}))
        results = await asyncio.gather(first, *others, late, return_exceptions=True)
        assert [type(result) for result in results] == [dict, dict, dict, TensorError, DeadlineExceeded]
        counted = batcher.statistics
        # The batch of three fails, then [1, 2] runs and POISON fails alone.
        assert (counted.success.count, counted.fail.count, counted.cancel.count) == (3, 3, 1)
        assert counted.success.ns == pytest.approx(1e9 * (0.1 + 2 * 0.26), rel=1e-6)
        assert (counted.inference_count, counted.execution_count) == (3, 2)
        assert counted.batches == {1: Counted(1, 100_000_000), 2: Counted(1, 100_000_000)}
        assert counted.compute == Counted(3, 300_000_000)
        assert counted.last_inference_ms > 1_700_000_000_000

    virtually(ask, max_queue_rows=8)


def test_gauges_follow_the_queue() -> None:
    """Rows waiting and executions in flight as of the last flush; 0 once the model is closed."""

    def gauges() -> list[float | None]:
        hot.flush()
        names = ("furoshiki_queue_rows", "furoshiki_executions_running")
        return [REGISTRY.get_sample_value(name, {"model": LABEL}) for name in names]

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        batcher.submit(row(), lambda outcome: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for _ in range(3):
            batcher.submit(row(), lambda outcome: None)
        assert gauges() == [3, 1]

    virtually(ask)
    assert gauges() == [0, 0]


def test_a_retry_time_is_what_the_queue_takes() -> None:
    """QUEUE_001 says after which time what waits will have been executed."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        for _ in range(192):
            batcher.submit(row(), lambda outcome: None)
        with pytest.raises(Overloaded) as caught:
            batcher.submit(row(), lambda outcome: None)
        assert caught.value.code is ErrorCode.QUEUE_FULL
        assert caught.value.retry_after == pytest.approx(192 / 64 * 0.1)

    virtually(ask, max_queue_rows=256)
