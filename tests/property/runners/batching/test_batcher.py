# SPDX-License-Identifier: Apache-2.0
"""The batcher against a simple model, under any interleaving of arrivals, cancellations, deadlines, results and failures.

The law: rows and bytes waiting, in all and of each tenant, are exactly those of requests that were admitted, have not started
and are not over; a request is admitted exactly if the bounds and its tenant's share allow it; and each ends exactly once,
with its own rows or with its own error. Time is the loop's, moved by hand, and batches are executed by hand, so every
interleaving is reproducible.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.errors import DeadlineExceeded, ErrorCode, FuroshikiError, Overloaded, TensorError
from core.tensors import Array
from runners.batching.batcher import Batcher
from runners.batching.policy import BatchLimits
from runners.batching.work import Batch, Results
from runners.testing import POISON, FakeRunner, request_of

INSTANCES = 2
TENANTS = ("acme", "bolt", "cord")
LIMITS = BatchLimits(max_rows=4, max_queue_rows=12, max_queue_bytes=96, max_wait_s=30.25, inline_below_s=0)


class HandMovedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time moves only when told to."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def turn(self) -> None:
        """Runs everything that is ready, and what that makes ready."""
        for _ in range(8):
            self.run_until_complete(asyncio.sleep(0))


class HandRunExecutor:
    """Stands for the threads: batches wait in ``held`` until a rule ends them."""

    def __init__(self) -> None:
        self.held: list[Batch] = []
        self.started: set[float] = set()  # tags of the requests that began

        self.ready = True

    def submit(self, batch: Batch) -> None:
        self.held.append(batch)
        self.started |= {tag_of(work.request.inputs["x"]) for work in batch.work}

    def close(self) -> None:
        """Nothing to end."""

    def join(self, timeout: float) -> bool:
        """Nothing to wait for."""
        return True


@dataclass(kw_only=True, eq=False)
class Asked:
    """One request as the model knows it."""

    tag: float
    tenant: str
    inputs: Array
    ends: float  # when it is over without a result
    poisoned: bool
    task: asyncio.Task[dict[str, Array]]
    cancelled: bool = False


def _bytes(array: Array) -> int:
    return array.nbytes


def tag_of(x: Array) -> float:
    return float(x[0, 0])


class BatcherMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = HandMovedLoop()
        self.executor = HandRunExecutor()
        self.asked: list[Asked] = []
        self.tags = iter(range(1, 10_000))
        self.runner = FakeRunner()
        self.gains = False
        self.batcher = self.loop.run_until_complete(self.make())
        self.batcher._executor.close()
        self.batcher._executor = self.executor

    async def make(self) -> Batcher:
        return Batcher(self.runner, limits=LIMITS, instances=INSTANCES, label="acme/fake@1")

    @initialize(gains=st.booleans())
    def choose(self, gains: bool) -> None:
        """A model that takes as long for a batch as for a request, or one that gains nothing from company."""
        self.gains = gains

    def waiting(self) -> list[Asked]:
        return [a for a in self.asked if not a.task.done() and a.tag not in self.executor.started]

    def running(self) -> list[Asked]:
        return [a for a in self.asked if not a.task.done() and a.tag in self.executor.started]

    @rule(
        sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 2)), min_size=1, max_size=5),
        tenant=st.sampled_from(TENANTS),
        priority=st.integers(0, 7),
        patience=st.sampled_from([None, 0.5, 3.5, 60.5]),
        poisoned=st.sampled_from([False, False, False, True]),
    )
    def submit(
        self, sizes: list[tuple[int, int]], tenant: str, priority: int, patience: float | None, poisoned: bool
    ) -> None:
        """Requests of one turn; those beyond the bounds are refused at once, the others are admitted."""
        waiting = [(one.tenant, one.inputs) for one in self.waiting()]
        asked: list[tuple[bool, Asked]] = []
        for count, width in sizes:
            one = self._ask(count, width, tenant, priority, patience, poisoned)
            admitted = self._fits(waiting, tenant, one.inputs)
            if admitted:
                waiting.append((tenant, one.inputs))
            asked.append((admitted, one))
        self.loop.turn()
        for admitted, one in asked:
            refused = one.task.done() and isinstance(one.task.exception(), Overloaded)
            assert refused is not admitted
            if admitted:
                self.asked.append(one)

    def _fits(self, waiting: list[tuple[str, Array]], tenant: str, inputs: Array) -> bool:
        mine = [array for owner, array in waiting if owner == tenant]
        share = LIMITS.tenant_share
        for bound, measure in ((LIMITS.max_queue_rows, len), (LIMITS.max_queue_bytes, _bytes)):
            wanted = measure(inputs)
            held = sum(measure(array) for array in mine)
            free = bound - sum(measure(array) for _, array in waiting)
            if wanted > free or (mine and (held + wanted) * (1 - share) > share * free):
                return False
        return True

    def _ask(self, count: int, width: int, tenant: str, priority: int, patience: float | None, poisoned: bool) -> Asked:
        tag = float(next(self.tags))
        inputs = np.full((count, width), tag, dtype=np.float32)
        if poisoned:
            inputs[-1, -1] = POISON if inputs.size > 1 else tag
        deadline = None if patience is None else self.loop.now + patience
        request = request_of({"x": inputs}, tenant=tenant, priority=priority, deadline=deadline)
        return Asked(
            tag=tag,
            tenant=tenant,
            inputs=inputs,
            ends=self.loop.now + LIMITS.max_wait_s if deadline is None else deadline,
            poisoned=bool((inputs == POISON).any()),
            task=self.loop.create_task(self.batcher.infer(request)),
        )

    @precondition(lambda self: self.waiting() or self.running())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A caller goes away, waiting or running."""
        one = data.draw(st.sampled_from(self.waiting() + self.running()))
        one.cancelled = True
        one.task.cancel()
        self.loop.turn()
        assert one.task.cancelled()

    @rule(seconds=st.sampled_from([1, 4, 31]))
    def advance(self, seconds: int) -> None:
        """Time passes: whoever's time is over gets TIMEOUT_001, nobody else."""
        before = self.waiting() + self.running()
        self.loop.now += seconds
        self.loop.turn()
        for one in before:
            if one.ends <= self.loop.now:
                error = one.task.exception()
                assert isinstance(error, DeadlineExceeded)
                assert error.code is ErrorCode.TIMEOUT
            else:
                assert not one.task.done()

    @precondition(lambda self: self.executor.held)
    @rule(data=st.data(), breaks=st.booleans())
    def finish(self, data: st.DataObject, breaks: bool) -> None:
        """A batch ends: with what the runner says, or because the runtime broke although the inputs are good."""
        batch = self.executor.held.pop(data.draw(st.integers(0, len(self.executor.held) - 1)))
        result = self._executed(batch)
        if breaks and len(batch.work) > 1:
            result = TensorError(ErrorCode.INFERENCE_FAILED, "The runtime broke.")
        self.loop.call_soon(self.batcher._finish, batch, result)
        self.loop.turn()

    def _executed(self, batch: Batch) -> Results | Exception:
        result: Results | Exception
        try:
            result = self.batcher._execute(batch)
        except TensorError as error:
            result = error
        batch.seconds = 0.001 if self.gains else 0.001 * batch.units
        return result

    @invariant()
    def accounting_is_exact(self) -> None:
        waiting = self.waiting()
        queue = self.batcher._queue
        assert self.batcher.rows_waiting == sum(len(one.inputs) for one in waiting)
        assert self.batcher.bytes_waiting == sum(one.inputs.nbytes for one in waiting)
        for tenant in TENANTS:
            mine = [one.inputs for one in waiting if one.tenant == tenant]
            assert queue.held(tenant) == (sum(map(len, mine)), sum(map(_bytes, mine)))
        assert sum(lane.live for lane in queue) == len(waiting)

    @invariant()
    def work_is_conserved(self) -> None:
        """An idle model leaves nothing waiting, nor an idle instance work that is worth it; never more than instances."""
        assert len(self.executor.held) <= INSTANCES
        if len(self.executor.held) < (1 if self.gains else INSTANCES):
            assert not self.waiting()
            assert not self.batcher._queue.parts

    @invariant()
    def batches_are_legal(self) -> None:
        for batch in self.executor.held:
            widths = {work.request.inputs["x"].shape[1] for work in batch.work}
            assert len(widths) == 1
            assert batch.rows == sum(work.rows for work in batch.work)
            assert batch.rows <= LIMITS.max_rows or len(batch.work) == 1

    @invariant()
    def answers_are_ones_own(self) -> None:
        for one in self.asked:
            if not one.task.done():
                continue
            if one.task.cancelled():
                assert one.cancelled
                continue
            error = one.task.exception()
            if error is None:
                assert not one.poisoned
                np.testing.assert_array_equal(one.task.result()["y"], 2 * one.inputs + 1)
            else:
                assert isinstance(error, FuroshikiError)
                assert isinstance(error, DeadlineExceeded) or one.poisoned

    def teardown(self) -> None:
        """Draining answers everybody and leaves nothing behind."""
        drained = self.loop.create_task(self.batcher.drain())
        self.loop.turn()
        while self.executor.held:
            assert not drained.done()
            batch = self.executor.held.pop()
            self.loop.call_soon(self.batcher._finish, batch, self._executed(batch))
            self.loop.turn()
        assert drained.done()
        assert all(one.task.done() for one in self.asked)
        self.answers_are_ones_own()
        assert (self.batcher.rows_waiting, self.batcher.bytes_waiting, len(self.batcher._queue._buckets)) == (0, 0, 0)
        self.batcher.close()
        self.loop.close()


BatcherMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestBatcher = BatcherMachine.TestCase
