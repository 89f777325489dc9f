# SPDX-License-Identifier: Apache-2.0
"""Deadlines in virtual time: met, refused at once, or ended when they pass, wherever a request is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import DeadlineExceeded, ErrorCode, FuroshikiError, Overloaded
from core.inference import InferenceRequest
from runners.batching.batcher import Batcher
from runners.batching.policy import BatchLimits
from runners.batching.testing import VirtualExecutor, VirtualLoop, known_cost
from runners.batching.work import Batch, Outcome
from runners.testing import FakeRunner, request_of


def slow(rows: int) -> float:
    return 0.1 * rows


def row(deadline: float | None = None, *, priority: int = 0) -> InferenceRequest:
    return request_of({"x": np.ones((1, 2), dtype=np.float32)}, deadline=deadline, priority=priority)


def virtually(
    ask: Callable[[Batcher, VirtualLoop], Awaitable[None]],
    *,
    known: bool = True,
    cost: Callable[[int], float] = slow,
    takes: Callable[[Batch], float] | None = None,
    instances: int = 1,
    **limits: float,
) -> None:
    """Runs ``ask`` with a batcher of a model of that cost, which may be known already.

    ``takes`` is what its batches really take; None: what they cost.
    """
    loop = VirtualLoop()

    async def main() -> None:
        batcher = Batcher(
            FakeRunner(width=2),
            limits=BatchLimits(**limits),  # type: ignore[arg-type]
            instances=instances,
            label="acme/fake@1",
            curve=known_cost(cost) if known else None,
        )
        VirtualExecutor(batcher, takes or (lambda batch: cost(batch.rows)))
        await ask(batcher, loop)
        batcher.close()

    loop.run_until_complete(main())
    loop.close()


def test_a_deadline_that_cannot_be_met_is_refused_at_once() -> None:
    """On the strength of the curve, with the time after which a retry makes sense; one that can be met is taken."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        waiting = [asyncio.ensure_future(batcher.infer(row())) for _ in range(11)]
        await asyncio.sleep(0.05)
        assert batcher.rows_waiting == 10
        with pytest.raises(DeadlineExceeded, match="would take 1.1") as caught:
            batcher.submit(row(loop.now + 1.0), print)
        assert caught.value.retry_after == pytest.approx(1.0)
        await batcher.infer(row(loop.now + 1.2))
        await asyncio.gather(*waiting)

    virtually(ask)


def test_nothing_is_refused_before_enough_was_measured() -> None:
    """Without a known cost a request is taken, and ends when its deadline passes."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        begin = loop.now
        first = asyncio.ensure_future(batcher.infer(row()))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded):
            await batcher.infer(row(loop.now + 0.03))
        assert loop.now == pytest.approx(begin + 0.03)
        assert batcher.rows_waiting == 0
        await first

    virtually(ask, known=False)


def test_a_deadline_in_the_past() -> None:
    """Is refused without waiting for its timer."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        with refused(ErrorCode.TIMEOUT, "passed already"):
            batcher.submit(row(loop.now - 1), print)
        assert batcher.statistics.fail.count == 1

    virtually(ask, known=False)


def test_a_deadline_that_became_hopeless_ends_when_its_turn_comes() -> None:
    """It is not computed to be thrown away: the model serves the next one instead."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        begin = loop.now
        first = asyncio.ensure_future(batcher.infer(row()))
        await asyncio.sleep(0)
        late = asyncio.ensure_future(batcher.infer(row(begin + 0.15)))
        next_one = asyncio.ensure_future(batcher.infer(row()))
        results = await asyncio.gather(first, late, next_one, return_exceptions=True)
        assert [type(result) for result in results] == [dict, DeadlineExceeded, dict]
        assert loop.now == pytest.approx(begin + 0.2)
        assert batcher.statistics.execution_count == 2

    virtually(ask)


def test_a_model_that_became_faster_is_found_out() -> None:
    """Although every deadline looks hopeless, a few are run all the same, and soon all are met."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        answered = []
        for _ in range(400):
            try:
                await batcher.infer(row(loop.now + 0.05))
                answered.append(True)
            except DeadlineExceeded:
                answered.append(False)
        assert not any(answered[:15])
        assert all(answered[-100:])

    virtually(ask, takes=lambda batch: 0.001 * batch.rows)


def test_a_queue_that_takes_too_long_is_full() -> None:
    """Without a deadline of its own, a request that would outlast max_wait_s is refused at once."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        refusals: list[FuroshikiError] = []
        for _ in range(100):
            try:
                batcher.submit(row(), lambda outcome: None)
            except Overloaded as error:
                refusals.append(error)
        assert batcher.rows_waiting == 51
        assert len(refusals) == 49
        assert "5 s at most" in str(refusals[0])

    virtually(ask, max_wait_s=5.0, max_rows=4)


def test_max_wait_ends_requests_in_order() -> None:
    """One timer for all: each ends exactly when its own time is over, in the queue or in a batch that hangs."""
    ends: list[tuple[float, type]] = []

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        begin = loop.now

        def done(outcome: Outcome) -> None:
            ends.append((round(loop.now - begin, 3), type(outcome)))

        for _ in range(5):
            batcher.submit(row(), done)
            await asyncio.sleep(0.25)
        await asyncio.sleep(5)

    virtually(ask, known=False, cost=lambda rows: 1000.0, max_wait_s=2.0)
    assert ends == [(2.0 + 0.25 * n, DeadlineExceeded) for n in range(5)]


def test_little_work_does_not_wait_for_ever_for_company() -> None:
    """While a batch hangs, another instance takes what waits after the time an execution usually needs."""

    async def ask(batcher: Batcher, loop: VirtualLoop) -> None:
        begin = loop.now
        batcher.submit(row(), lambda outcome: None)
        await asyncio.sleep(0)
        await batcher.infer(row())
        assert loop.now - begin == pytest.approx(0.02)

    hangs = iter([1000.0])
    virtually(ask, cost=lambda rows: 0.01, takes=lambda batch: next(hangs, 0.01), instances=2)
