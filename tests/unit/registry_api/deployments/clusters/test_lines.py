# SPDX-License-Identifier: Apache-2.0
"""Timestamps of every form that a kubelet writes, and lines that end without an end."""

from __future__ import annotations

import pytest

from registry_api.deployments.clusters.lines import BEGINNING, Place, unread

SECOND = 1767225600_000_000_000  # 2026-01-01


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("2026-01-01T00:00:00.000000001Z", SECOND + 1),
        ("2026-01-01T00:00:00.5Z", SECOND + 500_000_000),
        ("2026-01-01T00:00:00Z", SECOND),
        ("2026-01-01T02:00:00.000000000+02:00", SECOND),
    ],
)
def test_a_timestamp_is_a_moment(stamp: str, moment: int) -> None:
    """With nine digits, fewer or none, in UTC or in the node's own time."""
    assert unread(f"{stamp} a b\n".encode(), BEGINNING, ended=False) == (b"a b\n", Place(moment=moment, lines=1))


def test_where_to_read_on() -> None:
    """The API takes whole seconds; before anything was read, everything is wanted."""
    assert Place(moment=SECOND + 999_999_999, lines=2).since == "2026-01-01T00:00:00Z"
    assert BEGINNING.since is None


def test_a_line_without_an_end_waits_for_the_next_look() -> None:
    """Unless nothing can come after it."""
    data = b"2026-01-01T00:00:00Z whole\n2026-01-01T00:00:01Z par"

    assert unread(data, BEGINNING, ended=False)[0] == b"whole\n"
    assert unread(data, BEGINNING, ended=True)[0] == b"whole\npar\n"


def test_a_clock_that_goes_back_loses_no_line_of_one_look() -> None:
    """A line from before its neighbour counts as of the same moment, and is not read twice."""
    data = b"2026-01-01T00:00:02Z a\n2026-01-01T00:00:01Z b\n2026-01-01T00:00:02Z c\n"
    found, place = unread(data, BEGINNING, ended=False)

    assert (found, place.lines) == (b"a\nb\nc\n", 3)
    assert unread(data, place, ended=False)[0] == b""
