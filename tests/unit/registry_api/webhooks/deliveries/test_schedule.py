# SPDX-License-Identifier: Apache-2.0
"""Pauses grow, chance shortens them, and a delivery is given up after the time that was set."""

from __future__ import annotations

from registry_api.webhooks.deliveries.schedule import pause

DAY = 86_400.0


def test_pauses_double_up_to_an_hour() -> None:
    """5 s, 10 s, 20 s and so on, at most an hour."""
    waits = [pause(attempt, limit_seconds=DAY, chance=0) for attempt in range(1, 14)]
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-1] == 3600


def test_chance_takes_at_most_half() -> None:
    """A pause lies between half of what was planned and all of it."""
    assert pause(3, limit_seconds=DAY, chance=0.5) == 15
    assert pause(3, limit_seconds=DAY, chance=0.999999) > 10  # type: ignore[operator] # a number here


def test_a_day_of_attempts_is_about_a_day() -> None:
    """The planned pauses before giving up use the limit up to less than one more pause."""
    waits: list[float] = []
    while (wait := pause(len(waits) + 1, limit_seconds=DAY, chance=0)) is not None:
        waits.append(wait)
    assert DAY - 3600 < sum(waits) <= DAY


def test_without_a_limit_there_is_one_attempt() -> None:
    """A limit of nothing gives up at the first failure."""
    assert pause(1, limit_seconds=0, chance=0) is None
