# SPDX-License-Identifier: Apache-2.0
"""Executions of one size, and two models in turns."""

from __future__ import annotations

import numpy as np
import pytest

from converters.parity.running import Step, interleaved, run_rows, steps
from converters.parity.testing import FunctionModel, tensor
from core.clock import ManualClock
from core.tensors import DType, Signature, TensorSpec

ROWS = Signature(inputs=(tensor("x", 2),), outputs=(tensor("y", 2),))


@pytest.mark.parametrize(
    ("source", "candidate", "expected"),
    [
        (None, None, [(1, 1), (8, 8)]),
        (None, (1, 16), [(1, 1), (16, 16)]),
        ((4,), None, [(4, 1), (4, 8)]),
        ((8,), (1,), [(8, 1)]),
        ((), (), [(1, 1)]),
    ],
)
def test_sizes_are_those_both_can_take(
    source: tuple[int, ...] | None, candidate: tuple[int, ...] | None, expected: list[tuple[int, int]]
) -> None:
    """Batch 1 and N of the candidate, the nearest of the source."""
    assert steps(source, candidate) == tuple(Step(source=a, candidate=b) for a, b in expected)


@pytest.mark.parametrize("size", [1, 3, 5, 8])
def test_every_row_comes_back_once(size: int) -> None:
    """Whatever the size of an execution; the last is filled up and cut."""
    model = FunctionModel(ROWS, lambda x: x * 2)
    x = np.arange(10, dtype=np.float32).reshape(5, 2)

    found = run_rows(model, {"x": x}, {"x": "x"}, size=size)

    assert np.array_equal(found["y"], x * 2)
    assert {shape[0] for shape in model.seen} == {size}


def test_a_model_without_a_batch_runs_row_by_row() -> None:
    """Its tensors have no axis for rows."""
    spec = TensorSpec(name="x", dtype=DType.FP32, shape=(2,))
    scale = TensorSpec(name="scale", dtype=DType.FP32, shape=())
    model = FunctionModel(Signature(inputs=(spec, scale), outputs=(spec,)), lambda x, s: x * s)
    x, s = np.ones((3, 2), np.float32), np.array([1, 2, 3], np.float32)

    found = run_rows(model, {"x": x, "scale": s}, {"x": "x", "scale": "scale"}, size=1)

    assert model.sizes == ()
    assert found["x"].tolist() == [[1, 1], [2, 2], [3, 3]]


def test_work_is_done_in_turns_for_a_bounded_time() -> None:
    """The medians are those of each; the longer takes no more than its share."""
    clock = ManualClock()
    order: list[str] = []

    def work(name: str, seconds: float) -> None:
        order.append(name)
        clock.advance(seconds)

    first, second = interleaved(lambda: work("a", 0.1), lambda: work("b", 0.3), clock=clock)

    assert [first, second] == pytest.approx([0.1, 0.3])
    assert order == ["a", "b"] * (len(order) // 2)
    assert len(order) == 12
