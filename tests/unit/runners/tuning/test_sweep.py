# SPDX-License-Identifier: Apache-2.0
"""The sweep: what it tries, when it stops, and that it stays inside budget and cores. Time is the runner's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from artifacts.testing import refused
from artifacts.tuning import Point
from core.clock import ManualClock
from core.errors import ErrorCode, TensorError
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.batching.options import BatchOptions, Ragged
from runners.interface import StopSignal
from runners.testing import FakeRunner
from runners.tuning.inputs import candidates, make_inputs
from runners.tuning.measuring import Effort
from runners.tuning.sweep import Pair, SweepOptions, pairs, rows_to_try, sweep


@dataclass
class TimedRunner(FakeRunner):
    """Takes ``fixed + rows * each`` seconds of the manual clock."""

    clock: ManualClock
    fixed: float = 0.01
    each: float = 0.001
    refuses: int = 0  # width it cannot process
    loaded: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        if inputs["x"].shape[1] == self.refuses:
            raise TensorError(ErrorCode.TENSOR_REJECTED, "Too narrow.")
        self.clock.advance(self.fixed + self.each * len(inputs["x"]))
        return super().run(inputs, stop)

    def open(self, threads: int) -> TimedRunner:
        self.closed = False
        self.loaded.append(threads)
        return self


def measured(runner: TimedRunner, *, cores: int = 1, budget_s: float = 60.0) -> tuple[Point, ...]:
    told: list[tuple[Point, float]] = []
    points = sweep(
        runner.open,
        BatchOptions(),
        options=SweepOptions(cores=cores, budget_s=budget_s, effort=Effort(runs=2, seconds=0.0)),
        clock=runner.clock,
        told=lambda point, done: told.append((point, done)),
    )
    assert [point for point, _ in told] == list(points)
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert told[-1][1] <= 1
    assert runner.closed
    return points


def test_pairs_share_the_cores() -> None:
    """Powers of two and all cores, never more threads than cores, sessions of equal threads together."""
    assert pairs(1) == (Pair(instances=1, threads=1),)
    assert [(p.instances, p.threads) for p in pairs(2)] == [(1, 1), (2, 1), (1, 2)]
    six = [(p.instances, p.threads) for p in pairs(6)]
    assert six == [(1, 1), (2, 1), (4, 1), (6, 1), (1, 2), (2, 2), (1, 4), (1, 6)]


@pytest.mark.parametrize(
    ("shape", "batching", "expected"),
    [
        ((ANY, 2), BatchOptions(), (1, 2, 4, 8, 16, 32, 64)),
        ((ANY, 2), BatchOptions(max_rows=12), (1, 2, 4, 8, 12)),
        ((4, 2), BatchOptions(fixed=4), (4,)),
        ((4, 2), BatchOptions(), (1,)),
    ],
    ids=["any", "declared", "fixed", "none"],
)
def test_rows_that_are_tried(shape: tuple[int, ...], batching: BatchOptions, expected: tuple[int, ...]) -> None:
    """As many as the model leaves open."""
    spec = TensorSpec(name="x", dtype=DType.FP32, shape=shape)
    assert rows_to_try(Signature(inputs=(spec,), outputs=(spec,)), batching, 64) == expected


def test_a_model_that_gains_from_batches_is_measured_to_the_end() -> None:
    """Throughput and latency are those of the clock, for every number of rows."""
    points = measured(TimedRunner(clock=ManualClock()))
    assert [point.rows for point in points] == [1, 2, 4, 8, 16, 32, 64]
    assert points[0].rows_per_s == pytest.approx(1 / 0.011, rel=1e-3)
    assert points[-1].p50_ms == pytest.approx(74.0)


def test_larger_batches_are_given_up_when_two_brought_nothing() -> None:
    """A model whose rows each take as long stops after two flat points."""
    assert [point.rows for point in measured(TimedRunner(clock=ManualClock(), fixed=0.0))] == [1, 2, 4]


def test_the_budget_ends_the_sweep() -> None:
    """Every pair gets its share; the sweep ends within one execution of the budget's end."""
    clock = ManualClock()
    points = measured(TimedRunner(clock=clock, fixed=1.0), cores=2, budget_s=20.0)
    assert {(point.instances, point.threads) for point in points} == {(1, 1), (2, 1), (1, 2)}
    assert clock.monotonic() < 24.0


def test_a_session_is_opened_once_for_each_number_of_threads() -> None:
    """Instances share a session."""
    runner = TimedRunner(clock=ManualClock())
    measured(runner, cores=4)
    assert runner.loaded == [1, 2, 4]


def test_other_sizes_are_tried_when_the_model_refuses_one() -> None:
    """A model that cannot take a dimension of 1 is measured with the next; one that takes none is MODEL_003."""
    assert measured(TimedRunner(clock=ManualClock(), refuses=1))

    class Never(TimedRunner):
        def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
            raise TensorError(ErrorCode.TENSOR_REJECTED, "Never.")

    with refused(ErrorCode.MODEL_INVALID, "none of the inputs", "Never."):
        measured(Never(clock=ManualClock()))


def test_inputs_follow_the_signature() -> None:
    """Ragged axes have a sentence's length, other free ones 1 first; floats are normal, integers 1, strings bytes."""
    specs = (
        TensorSpec(name="ids", dtype=DType.INT64, shape=(ANY, ANY)),
        TensorSpec(name="x", dtype=DType.FP16, shape=(ANY, 3, ANY)),
        TensorSpec(name="text", dtype=DType.BYTES, shape=(ANY,)),
    )
    batching = BatchOptions(ragged=Ragged(inputs={"ids": 1}, pads={"ids": 0}))
    first = next(candidates(Signature(inputs=specs, outputs=specs[:1]), batching))
    made = make_inputs(first, 4)
    assert {name: array.shape for name, array in made.items()} == {"ids": (4, 32), "x": (4, 3, 1), "text": (4,)}
    assert (made["ids"] == 1).all()
    assert made["x"].dtype == DType.FP16.numpy
    assert made["x"].std() > 0
    assert set(made["text"]) == {b"furoshiki"}
