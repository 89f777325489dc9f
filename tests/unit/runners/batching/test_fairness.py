# SPDX-License-Identifier: Apache-2.0
"""Two tenants on one model in virtual time: what a hostile one does to the other's waiting."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from core.errors import Overloaded
from core.tensors import Array
from runners.batching.batcher import Batcher
from runners.batching.policy import BatchLimits
from runners.batching.testing import VirtualExecutor, VirtualLoop, known_cost
from runners.batching.work import Batch, Outcome
from runners.testing import FakeRunner, request_of

ROW: dict[str, Array] = {"x": np.ones((1, 2), dtype=np.float32)}


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


class Traffic:
    """Open-loop Poisson arrivals of several tenants at one model.

    Attributes:
        waits: Seconds in the queue, by tenant.
        totals: Seconds to the result, by tenant.
    """

    def __init__(
        self, rates: Mapping[str, float], cost: Callable[[int], float], *, instances: int, seconds: float
    ) -> None:
        self.waits: defaultdict[str, list[float]] = defaultdict(list)
        self.totals: defaultdict[str, list[float]] = defaultdict(list)
        self._loop = VirtualLoop()
        self._loop.run_until_complete(self._run(rates, cost, instances, seconds))
        self._loop.close()

    async def _run(
        self, rates: Mapping[str, float], cost: Callable[[int], float], instances: int, seconds: float
    ) -> None:
        batcher = Batcher(
            FakeRunner(width=2),
            limits=BatchLimits(inline_below_s=0),
            instances=instances,
            label="acme/fake@1",
            curve=known_cost(cost),
        )
        VirtualExecutor(batcher, lambda batch: cost(batch.rows), self._started)
        await asyncio.gather(*(self._send(batcher, tenant, rate, seconds) for tenant, rate in rates.items()))
        await batcher.drain()
        batcher.close()

    async def _send(self, batcher: Batcher, tenant: str, rate: float, seconds: float) -> None:
        chance, at = random.Random(tenant), self._loop.now
        end = at + seconds
        while (at := at + chance.expovariate(rate)) < end:
            await asyncio.sleep(at - self._loop.now)
            try:
                batcher.submit(request_of(ROW, tenant=tenant), self._noting(tenant))
            except Overloaded:
                continue

    def _noting(self, tenant: str) -> Callable[[Outcome], None]:
        begin = self._loop.now
        return lambda outcome: self.totals[tenant].append(self._loop.now - begin)

    def _started(self, batch: Batch) -> None:
        for work in batch.work:
            self.waits[work.request.tenant].append(self._loop.now - work.arrived)


def conv(rows: int) -> float:
    """A model that gains nothing from company; two instances do 250 rows a second."""
    return 0.008 * rows


def heavy(rows: int) -> float:
    """A model that gains from company: 59 rows a second one by one, 340 in sixteens, 366 at most."""
    return 0.015 + (0.002 if rows <= 16 else 0.0025) * rows


@pytest.mark.parametrize(
    ("cost", "instances", "rate"), [(conv, 2, 60), (heavy, 1, 120)], ids=["gains nothing", "gains"]
)
def test_ten_times_the_load_does_not_move_the_other(cost: Callable[[int], float], instances: int, rate: float) -> None:
    """The victim's p99 in the queue, and to its result, moves by less than half, though the model is swamped."""
    polite = Traffic({"victim": rate, "other": rate}, cost, instances=instances, seconds=20)
    hostile = Traffic({"victim": rate, "other": 10 * rate}, cost, instances=instances, seconds=20)
    assert len(hostile.waits["victim"]) == len(polite.waits["victim"]) > 1000
    assert p99(hostile.waits["other"]) > 20 * p99(polite.waits["other"])
    assert p99(hostile.waits["victim"]) <= 1.5 * p99(polite.waits["victim"])
    assert p99(hostile.totals["victim"]) <= 1.5 * p99(polite.totals["victim"])


def test_alone_or_beside_a_hostile_tenant() -> None:
    """Against having the model to itself, the victim's p99 to its result moves by less than half."""
    alone = Traffic({"victim": 60}, conv, instances=2, seconds=30)
    hostile = Traffic({"victim": 60, "other": 600}, conv, instances=2, seconds=30)
    assert p99(hostile.totals["victim"]) <= 1.5 * p99(alone.totals["victim"])


def test_equal_demand_gets_equal_shares() -> None:
    """Two tenants that both ask for more than there is are served alike, whoever came first."""
    both = Traffic({"first": 400, "second": 400}, conv, instances=2, seconds=20)
    served = {tenant: len([wait for wait in waits if wait < 10]) for tenant, waits in both.waits.items()}
    assert abs(served["first"] - served["second"]) < 0.1 * served["first"]
