# SPDX-License-Identifier: Apache-2.0
"""The shared timer: who is told, when, and that it rests."""

from __future__ import annotations

import asyncio

from services.edge.sweeper import Sweeper


class Noting:
    """Notes how often it was told."""

    def __init__(self) -> None:
        self.told = 0

    def overdue(self) -> None:
        self.told += 1


async def test_who_stays_is_told_once() -> None:
    """Not with the first sweep after it entered, but with the second; then it is no longer there."""
    sweeper = Sweeper(3600)
    watched = Noting()
    sweeper.enter(watched)
    told = []
    for _ in range(4):
        sweeper._sweep()
        told.append(watched.told)
    assert told == [0, 1, 1, 1]
    assert len(sweeper) == 0


async def test_the_latecomer_waits_its_own_time() -> None:
    """Each one's time counts from its own entry; leaving and entering again begins anew."""
    sweeper = Sweeper(3600)
    first, again, late = Noting(), Noting(), Noting()
    sweeper.enter(first)
    sweeper.enter(again)
    sweeper._sweep()
    sweeper.enter(late)
    sweeper.leave(again)
    sweeper.enter(again)
    sweeper._sweep()
    assert (first.told, again.told, late.told) == (1, 0, 0)
    sweeper._sweep()
    assert (first.told, again.told, late.told) == (1, 1, 1)


async def test_who_left_is_not_told() -> None:
    """Leaving ends it; leaving twice does no harm."""
    sweeper = Sweeper(3600)
    watched = Noting()
    sweeper.enter(watched)
    sweeper.leave(watched)
    sweeper.leave(watched)
    sweeper._sweep()
    sweeper._sweep()
    assert watched.told == 0


async def test_the_timer_rests() -> None:
    """One timer however many are there, and none once a sweep has found nobody."""
    sweeper = Sweeper(3600)
    for _ in range(3):
        sweeper.enter(Noting())
    timer = sweeper._timer
    assert timer is not None
    sweeper._sweep()
    sweeper._sweep()
    assert (len(sweeper), sweeper._timer) == (0, None)
    timer.cancel()


async def test_it_sweeps_by_itself() -> None:
    """The timer is real."""
    sweeper = Sweeper(0.001)
    watched = Noting()
    sweeper.enter(watched)
    async with asyncio.timeout(5):
        while not watched.told:
            await asyncio.sleep(0.001)
    assert watched.told == 1
