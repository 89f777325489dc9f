# SPDX-License-Identifier: Apache-2.0
"""Clocks, and how moments are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.clock import Clock, ForwardClock, ManualClock, SystemClock, rfc3339


@pytest.mark.parametrize("clock", [SystemClock(), ManualClock()])
def test_times_are_aware_and_never_go_back(clock: Clock) -> None:
    """now() is UTC; monotonic() does not decrease."""
    assert clock.now().utcoffset() == timedelta(0)
    first = clock.monotonic()
    assert clock.monotonic() >= first


def test_a_manual_clock_moves_when_told() -> None:
    """Both times move by the same seconds, and only then."""
    clock = ManualClock(datetime(2026, 1, 31, 9, 30, tzinfo=UTC))
    before = clock.monotonic()
    clock.advance(90.5)
    assert clock.monotonic() - before == 90.5
    assert clock.now() == datetime(2026, 1, 31, 9, 31, 30, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2026, 1, 31, 9, 30, tzinfo=UTC), "2026-01-31T09:30:00.000Z"),
        (datetime(2026, 1, 31, 9, 30, 0, 999_999, tzinfo=UTC), "2026-01-31T09:30:00.999Z"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2025-12-31T23:30:00.000Z"),
    ],
)
def test_rfc3339(moment: datetime, written: str) -> None:
    """Milliseconds, UTC, Z, whatever the zone of the moment."""
    assert rfc3339(moment) == written


def test_forward_clock_never_goes_back() -> None:
    """Set back an hour, it goes on from where it was with the time that really passes; set forward, it follows."""
    machine = ManualClock()
    clock = ForwardClock(machine)
    machine.advance(10)
    before = clock.now()
    machine.set_back(3600)
    assert clock.now() == before
    machine.advance(5)
    assert clock.now() == before + timedelta(seconds=5)
    machine.advance(7200)
    assert clock.now() == before + timedelta(seconds=7205)
    machine.set_back(-86400)
    assert clock.now() == machine.now()
    assert clock.monotonic() == machine.monotonic()
