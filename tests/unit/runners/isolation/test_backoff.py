# SPDX-License-Identifier: Apache-2.0
"""How long a process that ended is waited with."""

from __future__ import annotations

from runners.isolation.backoff import FIRST_S, LONGEST_S, SETTLED_S, Backoff


def test_waits_double_up_to_the_longest() -> None:
    """Processes that live short are started less and less often, and never less often than every 30 s."""
    backoff = Backoff()
    waits = [backoff.after(1.0) for _ in range(12)]
    assert waits[:4] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]
    assert waits[-2:] == [LONGEST_S, LONGEST_S]


def test_a_long_life_starts_the_count_anew() -> None:
    """One that ended after a minute of service is started again soon."""
    backoff = Backoff()
    for _ in range(6):
        backoff.after(1.0)
    assert backoff.after(SETTLED_S) == FIRST_S
    assert backoff.after(1.0) == 2 * FIRST_S
