# SPDX-License-Identifier: Apache-2.0
"""Many share the device or one is alone on it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from runners.backends.torch.turns import Turns

WAIT_S = 10.0


def test_many_share() -> None:
    """Four threads are inside at once."""
    turns, inside = Turns(), threading.Barrier(4)

    def share() -> int:
        with turns.shared():
            return inside.wait(WAIT_S)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(future.result(WAIT_S) for future in [pool.submit(share) for _ in range(4)]) == [0, 1, 2, 3]


def test_while_one_is_alone_nobody_else_is_inside() -> None:
    """`while one holds alone nobody holds shared, nor another alone`, under eight threads of both kinds."""
    turns, state = Turns(), threading.Lock()
    sharing = alone = 0

    def share(_: int) -> None:
        nonlocal sharing
        with turns.shared():
            with state:
                sharing += 1
            assert alone == 0
            with state:
                sharing -= 1

    def own(_: int) -> None:
        nonlocal alone
        with turns.alone():
            alone += 1
            assert (alone, sharing) == (1, 0)
            alone -= 1

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(own if number % 5 == 0 else share, number) for number in range(2000)]
        for future in futures:
            future.result(WAIT_S)


def test_one_that_waits_to_be_alone_is_let_in_first() -> None:
    """Who comes to share after it waits, so that it is not kept out for ever."""
    turns, order, release = Turns(), [], threading.Event()
    first, owner = threading.Event(), threading.Event()

    def share() -> None:
        with turns.shared():
            first.set()
            release.wait(WAIT_S)

    def own() -> None:
        owner.set()
        with turns.alone():
            order.append("alone")

    def late() -> None:
        with turns.shared():
            order.append("shared")

    with ThreadPoolExecutor(3) as pool:
        pool.submit(share)
        first.wait(WAIT_S)
        pool.submit(own)
        owner.wait(WAIT_S)
        while not turns._waiting:
            pass
        last = pool.submit(late)
        release.set()
        last.result(WAIT_S)
    assert order == ["alone", "shared"]


def test_a_failure_gives_the_turn_back() -> None:
    """Both kinds."""
    turns = Turns()
    for turn in (turns.alone, turns.shared, turns.alone):
        with pytest.raises(ValueError, match="inside"), turn():
            raise ValueError("inside")
