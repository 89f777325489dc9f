# SPDX-License-Identifier: Apache-2.0
"""Restarts come soon, then after pauses that double, and end when they do not help."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from registry_api.deployments.restarts import RestartPolicy, Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RestartPolicy(most=4, window_seconds=100.0, pause_seconds=2.0)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_what_was_never_started_again_is_started_at_once() -> None:
    """The first restart waits for nothing."""
    assert POLICY.verdict([], START) is Verdict.NOW


def test_pauses_double() -> None:
    """After the n-th restart the next one waits 2, 4, 8 seconds."""
    restarts: list[datetime] = []
    for pause in (2, 4, 8):
        restarts.append(at(0) if not restarts else restarts[-1] + timedelta(seconds=pause))
        due = restarts[-1] + timedelta(seconds=pause)
        assert POLICY.verdict(restarts, due - timedelta(milliseconds=1)) is Verdict.WAIT
        assert POLICY.verdict(restarts, due) is Verdict.NOW


def test_enough_restarts_within_the_window_are_the_last() -> None:
    """However long it waited: with the most restarts in the window, it is given up."""
    assert POLICY.verdict([at(0), at(2), at(6), at(14)], at(99)) is Verdict.GIVE_UP


def test_a_clock_set_back_only_makes_it_wait() -> None:
    """A restart that seems to lie in the future counts as the last one."""
    assert POLICY.verdict([at(10)], at(0)) is Verdict.WAIT
