# SPDX-License-Identifier: Apache-2.0
"""Models that declare how they take batches: fixed rows, a maximum, ragged axes. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import numpy as np

from artifacts.testing import refused
from core.errors import ErrorCode, TensorError
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.batching.batcher import Batcher
from runners.batching.options import BatchOptions, Ragged
from runners.batching.policy import BatchLimits
from runners.batching.testing import VirtualExecutor, VirtualLoop, known_cost, teach
from runners.batching.work import Batch
from runners.interface import StopSignal
from runners.testing import POISON, FakeRunner, request_of

RAGGED = Ragged(inputs={"ids": 1, "mask": 1}, pads={"ids": 9, "mask": 0}, outputs={"tokens": 1})


class FixedRunner(FakeRunner):
    """``y = 2 x + 1`` on exactly four rows."""

    def __init__(self) -> None:
        super().__init__()
        spec = TensorSpec(name="x", dtype=DType.FP32, shape=(4, 2))
        self.signature = Signature(inputs=(spec,), outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(4, 2)),))


class TextRunner:
    """``tokens`` is twice ``ids``, ``total`` the sum of those the mask leaves; notes the shapes it ran."""

    name = "text"

    def __init__(self) -> None:
        ids = TensorSpec(name="ids", dtype=DType.INT64, shape=(ANY, ANY))
        mask = TensorSpec(name="mask", dtype=DType.INT64, shape=(ANY, ANY))
        tokens = TensorSpec(name="tokens", dtype=DType.INT64, shape=(ANY, ANY))
        total = TensorSpec(name="total", dtype=DType.INT64, shape=(ANY,))
        self.signature = Signature(inputs=(ids, mask), outputs=(tokens, total))
        self.shapes: list[tuple[int, ...]] = []

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        ids, mask = inputs["ids"], inputs["mask"]
        self.shapes.append(ids.shape)
        if (ids * mask == POISON).any():
            raise TensorError(ErrorCode.TENSOR_REJECTED, "The batch holds a poisoned value.")
        return {"tokens": 2 * ids, "total": (ids * mask).sum(axis=1)}

    def close(self) -> None:
        """Nothing to free."""


def text(*values: int) -> dict[str, Array]:
    ids = np.array([values], dtype=np.int64)
    return {"ids": ids, "mask": np.ones_like(ids)}


def virtually(
    runner: FakeRunner | TextRunner,
    options: BatchOptions,
    ask: Callable[[Batcher], Awaitable[None]],
    *,
    cost: Callable[[int], float] = lambda units: 0.01,
) -> None:
    """Runs ``ask`` with a batcher whose model is known to cost what ``cost`` says."""

    async def main() -> None:
        curve = known_cost(cost, most=1024)
        batcher = Batcher(runner, limits=BatchLimits(), instances=1, label="acme/fake@1", options=options, curve=curve)
        teach(batcher._queue.lengths, cost)
        VirtualExecutor(batcher, _cost_of(cost))
        await ask(batcher)
        await batcher.drain()
        batcher.close()

    loop = VirtualLoop()
    loop.run_until_complete(main())
    loop.close()


def _cost_of(cost: Callable[[int], float]) -> Callable[[Batch], float]:
    return lambda batch: cost(batch.units)


def rows(*values: float) -> dict[str, Array]:
    return {"x": np.repeat(np.array(values, dtype=np.float32)[:, None], 2, axis=1)}


def test_requests_fill_a_fixed_batch() -> None:
    """Several share the four rows, what is missing is filled, and each gets its own rows back."""
    runner = FixedRunner()

    async def ask(batcher: Batcher) -> None:
        assert batcher.signature.batched
        results = await asyncio.gather(
            *(batcher.infer(request_of(rows(*values))) for values in ([1, 2], [3], [4, 5, 6], [7]))
        )
        assert [result["y"][:, 0].tolist() for result in results] == [[3, 5], [7], [9, 11, 13], [15]]
        assert runner.batches == [4, 4]
        assert batcher.statistics.inference_count == 7

    virtually(runner, BatchOptions(fixed=4), ask)


def test_more_rows_than_a_model_takes() -> None:
    """A fixed batch, and a declared maximum, bound a single request as well."""

    async def ask(batcher: Batcher) -> None:
        with refused(ErrorCode.TOO_LARGE, "has 5 rows", "is 4"):
            await batcher.infer(request_of(rows(1, 2, 3, 4, 5)))

    virtually(FixedRunner(), BatchOptions(fixed=4), ask)
    virtually(FakeRunner(), BatchOptions(max_rows=4), ask)


def test_a_maximum_bounds_batches() -> None:
    """Requests are merged up to the model's own maximum."""
    runner = FakeRunner()

    async def ask(batcher: Batcher) -> None:
        await asyncio.gather(*(batcher.infer(request_of(rows(n))) for n in range(8)))
        assert runner.batches == [3, 3, 2]

    virtually(runner, BatchOptions(max_rows=3), ask)


def test_a_failing_row_of_a_fixed_batch_fails_alone() -> None:
    """The copies that fill a batch are of a request that is in it, so nobody else's failure is copied."""

    async def ask(batcher: Batcher) -> None:
        results = await asyncio.gather(
            *(batcher.infer(request_of(rows(value))) for value in (1, 2, POISON)), return_exceptions=True
        )
        assert [isinstance(result, TensorError) for result in results] == [False, False, True]

    virtually(FixedRunner(), BatchOptions(fixed=4), ask)


def test_lengths_share_a_batch() -> None:
    """Different lengths run together, padded to the longest, and each gets its own length back."""
    runner = TextRunner()

    async def ask(batcher: Batcher) -> None:
        results = await asyncio.gather(*(batcher.infer(request_of(text(*range(1, n)))) for n in (4, 6, 5)))
        assert [result["tokens"].tolist() for result in results] == [[[2 * i for i in range(1, n)]] for n in (4, 6, 5)]
        assert [result["total"].tolist() for result in results] == [[6], [15], [10]]
        assert runner.shapes == [(3, 5)]

    virtually(runner, BatchOptions(ragged=RAGGED), ask)


def test_a_poisoned_text_fails_alone() -> None:
    """Halving works across lengths."""

    async def ask(batcher: Batcher) -> None:
        values = ([1, 2], [3, 4, 5], [int(POISON), 1], [6, 7, 8])
        results = await asyncio.gather(
            *(batcher.infer(request_of(text(*value))) for value in values), return_exceptions=True
        )
        assert [isinstance(result, TensorError) for result in results] == [False, False, True, False]

    virtually(TextRunner(), BatchOptions(ragged=RAGGED), ask)


def test_costly_lengths_run_apart() -> None:
    """Where every position costs, long and short texts are not padded to each other, and none waits for ever."""
    runner = TextRunner()

    async def ask(batcher: Batcher) -> None:
        lengths = [8, 120] * 10
        results = await asyncio.gather(*(batcher.infer(request_of(text(*range(n)))) for n in lengths))
        assert [result["tokens"].shape[1] for result in results] == lengths
        assert sum(rows * length for rows, length in runner.shapes) == sum(lengths)

    virtually(runner, BatchOptions(ragged=RAGGED), ask, cost=lambda units: 0.0001 * units)


def test_unequal_axes_of_one_request() -> None:
    """A request whose ragged inputs differ in length meets only its like; the model decides about it."""
    runner = TextRunner()

    async def ask(batcher: Batcher) -> None:
        odd = {"ids": np.ones((1, 3), dtype=np.int64), "mask": np.ones((1, 1), dtype=np.int64)}
        results = await asyncio.gather(
            *(batcher.infer(request_of(inputs)) for inputs in (text(1, 2), odd, text(1, 2), odd))
        )
        assert [result["total"].tolist() for result in results] == [[3], [3], [3], [3]]
        assert sorted(runner.shapes) == [(2, 2), (2, 3)]

    virtually(runner, BatchOptions(ragged=RAGGED), ask)
