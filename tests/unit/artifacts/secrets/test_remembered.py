# SPDX-License-Identifier: Apache-2.0
"""Answers that outlive whoever gave them."""

from __future__ import annotations

import pytest

from artifacts.secrets.remembered import Remembered
from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import ErrorCode, NotFound, Unavailable


class Keeper:
    """Answers with a number that grows, unless it is away or has nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.asked


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_fresh_answer_is_not_asked_for(clock: ManualClock) -> None:
    """Within its time an answer is used without asking, then asked for again; a clock set back changes nothing."""
    memory, keeper = Remembered[str, int](clock, fresh_s=10), Keeper()
    assert [memory.get("a", keeper) for _ in range(3)] == [1, 1, 1]
    clock.set_back(3600)
    clock.advance(9)
    assert memory.get("a", keeper) == 1
    clock.advance(1)
    assert memory.get("a", keeper) == 2


def test_an_answer_outlives_an_outage(clock: ManualClock) -> None:
    """While the keeper is away the last answer serves, and it is asked only once per period; a first answer is refused."""
    memory, keeper = Remembered[str, int](clock, fresh_s=10), Keeper()
    memory.get("a", keeper)
    keeper.error = Unavailable(ErrorCode.STORE_UNAVAILABLE, "away")
    clock.advance(1000)
    assert [memory.get("a", keeper) for _ in range(3)] == [1, 1, 1]
    assert keeper.asked == 2
    with refused(ErrorCode.STORE_UNAVAILABLE):
        memory.get("b", keeper)


def test_a_refusal_is_no_outage(clock: ManualClock) -> None:
    """When the keeper answers that there is nothing, the last answer does not stand in for it."""
    memory, keeper = Remembered[str, int](clock, fresh_s=10), Keeper()
    memory.get("a", keeper)
    keeper.error = NotFound(ErrorCode.BLOB_NOT_FOUND, "gone")
    clock.advance(10)
    with refused(ErrorCode.BLOB_NOT_FOUND):
        memory.get("a", keeper)


def test_memory_is_bounded(clock: ManualClock) -> None:
    """Beyond the bound the answer that was stored longest ago is forgotten; so is one that is told to be."""
    memory, keeper = Remembered[str, int](clock, fresh_s=10, most=2), Keeper()
    for key in "abc":
        memory.get(key, keeper)
    assert memory.get("c", keeper) == 3
    assert memory.get("a", keeper) == 4
    memory.forget("a")
    assert memory.get("a", keeper) == 5
