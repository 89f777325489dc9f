# SPDX-License-Identifier: Apache-2.0
"""How much to execute together: what is chosen on a known curve, and that it is found by trying."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runners.batching.curve import TRIES, CostCurve
from runners.batching.sizing import Sizing
from runners.batching.testing import known_cost


def conv(rows: int) -> float:
    return 0.008 * rows


def mlp(rows: int) -> float:
    return 0.0002 + 0.000001 * rows


def knee(rows: int) -> float:
    """Free up to 8 rows, in proportion from there."""
    return 0.01 * max(1, rows / 8)


def sizing(cost: Callable[[int], float], *, instances: int = 2, most: int | None = 64) -> Sizing:
    return Sizing(known_cost(cost), instances=instances, most=most)


@pytest.mark.parametrize(("cost", "target"), [(conv, 1), (mlp, 64), (knee, 8)])
def test_the_smallest_size_that_is_good_enough(cost: Callable[[int], float], target: int) -> None:
    """One row where company gains nothing, everything where it is free, the knee where there is one."""
    assert sizing(cost).target == target


def test_idle_models_start_at_once() -> None:
    """However little waits and however much company would gain."""
    assert sizing(mlp).room(1, idle=2, busy=False) > 0


def test_little_work_waits_for_company_while_another_batch_runs() -> None:
    """A second instance is for work that is worth it: not for one row of a model that takes 64 in the same time."""
    assert sizing(mlp).room(1, idle=1, busy=True) == 0
    assert sizing(mlp).room(50, idle=1, busy=True) == 64
    assert sizing(conv).room(1, idle=1, busy=True) == 1


def test_work_in_proportion_is_spread() -> None:
    """Half of the work on each of two idle instances, where that is faster; all on one where it is not."""
    assert sizing(knee, most=64).room(8, idle=2, busy=False) == 8
    together = sizing(lambda rows: 0.01 + 0.001 * rows)
    assert together.target == 64
    assert together.room(64, idle=2, busy=False) == 32
    assert together.room(200, idle=2, busy=False) == 64


def found(cost: Callable[[int], float], *, most: int | None, waiting: int, unit: int = 1) -> tuple[Sizing, list[int]]:
    """Executes what is chosen while there is always more waiting; the sizing, and the sizes in order."""
    curve = CostCurve()
    chosen = Sizing(curve, instances=1, most=most)
    sizes: list[int] = []
    for _ in range(120):
        size = max(unit, min(chosen.room(waiting, idle=1, busy=False), waiting) // unit * unit)
        curve.note(size, cost(size))
        sizes.append(size)
    return chosen, sizes


def test_larger_sizes_are_found_by_doubling() -> None:
    """From one row upwards while it pays, each size a few times."""
    _, sizes = found(mlp, most=64, waiting=100)
    found_after = sizes.index(64)
    assert sizes[:found_after] == sorted(sizes[:found_after])
    for size in (1, 2, 4, 8, 16, 32):
        assert TRIES <= sizes[:found_after].count(size) < 3 * TRIES
    assert sizes.count(64) > 90


def test_doubling_ends_when_it_does_not_pay() -> None:
    """Two doublings without a gain are the end of it; a slow model is not tried with 64 rows."""
    _, sizes = found(conv, most=64, waiting=100)
    assert max(sizes) == 4
    assert sizes[20:].count(1) > 90


def test_units_may_be_bytes() -> None:
    """Where the cost of a request is its bytes, sizes are found likewise, from a single request on."""
    _, sizes = found(lambda size: 0.01 + size * 1e-9, most=None, waiting=1 << 24, unit=1 << 18)
    assert sizes[-1] == 1 << 24


def test_neighbours_are_tried_again_now_and_then() -> None:
    """While little is known of smaller or larger ones one time in 16 each, later half and twice the target one in 512."""
    curve = known_cost(knee, times=TRIES)
    chosen = Sizing(curve, instances=1, most=64)

    def sizes(count: int) -> list[int]:
        found = []
        for _ in range(count):
            size = chosen.room(1000, idle=1, busy=False)
            curve.note(size, knee(size))
            found.append(size)
        return found

    early = sizes(3 * 12 * 16)
    assert [early.count(size) for size in (1, 2, 4, 16)] == pytest.approx([12, 12, 12, 12], abs=1)
    assert early.count(8) > 500
    late = sizes(1024)
    assert [late.count(size) for size in (1, 2, 4, 8, 16)] == [0, 0, 2, 1020, 2]


def test_predictions_need_measurements() -> None:
    """No wait is predicted while a larger size may still turn out to be better, or little was measured."""
    few = Sizing(known_cost(mlp, most=8), instances=1, most=64)
    assert few.wait_s(100) is None
    assert sizing(mlp, instances=1).wait_s(64_000) == pytest.approx(1000 * mlp(64))
