# SPDX-License-Identifier: Apache-2.0
"""Freeze windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_api.promotion.freezes import Interval, Weekly, frozen_until

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
WEEKEND = Weekly(start=timedelta(days=4, hours=18), end=timedelta(days=0, hours=6), reason="weekend")


@pytest.mark.parametrize(
    ("hours", "frozen"),
    [(0, True), (5.99, True), (6, False), (4 * 24 + 17.99, False), (4 * 24 + 18, True), (6 * 24 + 23, True)],
)
def test_a_weekly_freeze_runs_over_the_end_of_the_week(hours: float, frozen: bool) -> None:
    """From Friday 18:00 to Monday 06:00, start included, end not."""
    assert (frozen_until([WEEKEND], MONDAY + timedelta(hours=hours)) is not None) is frozen


def test_the_freeze_that_holds_longest_is_told() -> None:
    """Its end and its reason; in any zone the moment is asked in."""
    long = Interval(start=MONDAY, end=MONDAY + timedelta(days=30), reason="audit")
    assert frozen_until([WEEKEND, long], MONDAY) == (long.end, "audit")
    assert frozen_until([WEEKEND], MONDAY) == (MONDAY + timedelta(hours=6), "weekend")
    assert frozen_until([long], long.end) is None
