# SPDX-License-Identifier: Apache-2.0
"""Who runs with whom when lengths differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest

from runners.batching.curve import WINDOW
from runners.batching.lengths import LengthCosts, best_group
from runners.batching.work import BucketKey, Work
from runners.testing import request_of

KEY: BucketKey = ((-1,),)
Cost: TypeAlias = Callable[[int, int], float]  # rows, length → seconds


def text(length: int, *, rows: int = 1, deadline: float | None = None) -> Work:
    request = request_of({"x": np.zeros((rows, length), dtype=np.float32)}, deadline=deadline)
    return Work(request, KEY, rows, 0, rows * length, length, 0.0, lambda outcome: None, lambda work: None)


def overhead(rows: int, length: int) -> float:
    """Mostly the execution itself: company is nearly free."""
    return 0.010 + 0.00001 * rows * length


def proportional(rows: int, length: int) -> float:
    """Nothing but the elements."""
    return 0.0001 * rows * length


def crowded(rows: int, length: int) -> float:
    """Short rows gain from company; of long ones, each takes longer than alone."""
    return 0.002 + 0.0002 * rows * length * (1.3 if length > 64 and rows > 1 else 1)


def learned(cost: Cost) -> LengthCosts:
    costs = LengthCosts()
    for length in (8, 16, 32, 64, 128):
        for rows in (1, 2, 4, 8, 16, 32):
            for _ in range(WINDOW):
                costs.note(rows, length, cost(rows, length))
    return costs


def group(lengths: list[int], leader: int, cost: Cost, *, most_rows: int = 64) -> list[int]:
    works = [text(length) for length in lengths]
    chosen = best_group(works, works[leader], learned(cost), most_rows=most_rows, now=0.0)
    assert works[leader] in chosen
    return sorted(work.length for work in chosen)


def test_short_texts_do_not_pay_for_long_ones() -> None:
    """Where company is worth something, a request shares it with its like."""
    lengths = [8, 9, 120, 60, 10, 8, 61]
    assert max(group(lengths, 0, crowded)) <= 10
    assert group(lengths, 3, crowded) == [60, 61]
    assert group([120, 128, 118], 0, crowded) == [120]


def test_where_company_is_free_lengths_mix() -> None:
    """What is padded costs less there than an execution of its own."""
    assert group([30, 40, 50, 60], 0, overhead) == [30, 40, 50, 60]


def test_where_company_gains_nothing_none_is_taken() -> None:
    """It can run elsewhere at the same time."""
    assert group([16] * 20, 4, proportional) == [16]


@pytest.mark.parametrize("most_rows", [1, 2, 5])
def test_rows_are_bounded(most_rows: int) -> None:
    """Never more rows than an execution may have."""
    assert len(group([16] * 20, 4, overhead, most_rows=most_rows)) == most_rows


def test_a_large_request_runs_alone() -> None:
    """Also one with more rows than that."""
    works = [text(16, rows=9), text(16)]
    assert best_group(works, works[0], learned(overhead), most_rows=4, now=0.0) == works[:1]


def test_deadlines_bound_the_group() -> None:
    """Company that would make the earliest deadline of the group pass is not taken."""
    urgent, others = text(16, deadline=0.0105), [text(16) for _ in range(9)]
    chosen = best_group([urgent, *others], urgent, learned(overhead), most_rows=64, now=0.0)
    assert len(chosen) == 3
    assert overhead(len(chosen), 16) <= 0.0105 < overhead(len(chosen) + 1, 16)


@pytest.mark.parametrize(("cost", "most"), [(overhead, 32), (proportional, 4)])
def test_sizes_are_found_by_trying(cost: Cost, most: int) -> None:
    """From one request on, each class of lengths by itself, as long as it pays."""
    costs, sizes = LengthCosts(), []
    works = [text(16) for _ in range(100)]
    for _ in range(100):
        chosen = best_group(works, works[0], costs, most_rows=64, now=0.0)
        sizes.append(len(chosen))
        costs.note(len(chosen), 16, cost(len(chosen), 16))
    assert sizes[0] == 1
    assert max(sizes) >= most
    assert (sizes[-1] > 30) is (cost is overhead)


def test_memory_is_bounded() -> None:
    """Any lengths leave 64 classes at most."""
    costs = LengthCosts()
    for exponent in range(100):
        costs.note(1, 1 << exponent, 0.1)
    assert len(costs._classes) <= 64
