# SPDX-License-Identifier: Apache-2.0
"""Requests per hour and day in one process: windows end, shares hold, leases settle what was spent ahead of them."""

from __future__ import annotations

import math

import pytest

from core.clock import ManualClock
from core.errors import ErrorCode, Overloaded, Unavailable
from services.dataplane.gate import Gate
from services.dataplane.quota.allowance import Allowance
from services.dataplane.quota.alone import Alone
from services.edge.context import Principal, TenantLimits

HALF_PAST = 1_800.0  # seconds since the epoch


def allowance(hourly: float = 100, daily: float = math.inf) -> Allowance:
    return Allowance(hourly, daily, wall=HALF_PAST, now=0.0)


def spend(made: Allowance, count: int) -> None:
    made.left -= count


def who(**limits: int) -> Principal:
    return Principal(tenant="acme", key_id="k", limits=TenantLimits(**limits))


def passed(gate: Gate, caller: Principal, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            gate.enter(caller)
        except Overloaded:
            continue
        gate.leave(caller)
        count += 1
    return count


def test_an_hour_ends_with_the_hour() -> None:
    """Not an hour after the first request; the refusal names the quota and how long it lasts."""
    clock = ManualClock()
    clock.advance(HALF_PAST)
    gate, caller = Gate(clock=clock), who(requests_per_hour=5)
    assert passed(gate, caller, 9) == 5
    with pytest.raises(Overloaded, match="5 requests per hour .UTC.; try again in 1800 s") as caught:
        gate.enter(caller)
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.QUOTA_EXCEEDED, 1800)
    clock.advance(1799)
    assert passed(gate, caller, 1) == 0
    clock.advance(1)
    assert passed(gate, caller, 9) == 5


def test_the_tighter_window_counts() -> None:
    """Both are used by each request; a day that is used up is waited for although a new hour begins."""
    clock = ManualClock()
    gate, caller = Gate(clock=clock), who(requests_per_hour=5, requests_per_day=12)
    counts = []
    for _ in range(4):
        counts.append(passed(gate, caller, 9))
        clock.advance(3600)
    assert counts == [5, 5, 2, 0]
    with pytest.raises(Overloaded, match="12 requests per day") as caught:
        gate.enter(caller)
    assert caught.value.retry_after == 20 * 3600


def test_a_quota_refuses_without_taking_a_token() -> None:
    """What the hour refuses costs nothing of the rate."""
    clock = ManualClock()
    gate = Gate(clock=clock)
    assert passed(gate, who(requests_per_hour=1, requests_per_second=1, burst=3), 9) == 1
    assert gate._accounts["acme"].tokens == 2


def test_days_without_a_request_are_one_turn() -> None:
    """Whoever comes back later finds one whole window, not several."""
    made = allowance(100, 1000)
    spend(made, 100)
    made.turn(3 * 86_400.0 + 1)
    assert made.left == 100
    assert [window.number for window in made.windows] == [72, 3]
    assert made.turns_at == pytest.approx(73 * 3600 - HALF_PAST)


def test_alone_each_process_has_its_share_and_at_least_one() -> None:
    """A quarter of 100, and one of 2."""
    assert passed(Gate(sharing=Alone(4), clock=ManualClock()), who(requests_per_hour=100), 200) == 25
    assert passed(Gate(sharing=Alone(4), clock=ManualClock()), who(requests_per_day=2), 9) == 1


def test_before_a_lease_only_a_little_may_pass() -> None:
    """One hundredth of the share, at least one request."""
    made = allowance(10_000)
    made.share(0.25, leased=True)
    assert made.left == 25
    assert made.due(0.0)
    small = allowance(5)
    small.share(0.25, leased=True)
    assert small.left == 1


def test_a_lease_settles_what_was_spent_meanwhile() -> None:
    """Requests that passed during the round trip are paid from what it brought."""
    made = allowance(1000)
    made.share(0.5, leased=True)
    spend(made, 3)
    made.fold()
    returned = [window.balance for window in made.windows]
    spend(made, 2)
    made.settle("g", 100, [(0, 103, 1800), (0, 103, 84_600)], returned, 0.0)
    assert made.windows[0].balance == 98
    assert made.left == 98 + 5


def test_a_quota_that_is_taken_is_exact() -> None:
    """When all was taken nothing is spent ahead, and another process's rest is asked for after a while."""
    made = allowance(1000)
    made.share(0.5, leased=True)
    made.settle("g", 0, [(0, 1000, 1800), (0, 1000, 84_600)], [0.0, 0.0], 0.0)
    assert made.left == 0
    assert (made.due(0.4), made.due(0.6)) == (False, True)


def test_without_redis_what_nobody_took_is_divided() -> None:
    """Known: 600 of 1000 taken, 50 of them held here. Alone: those 50, and this process's half of 400."""
    made = allowance(1000)
    made.share(0.5, leased=True)
    made.settle("g", 50, [(0, 600, 1800), (0, 600, 84_600)], [0.0, 0.0], 0.0)
    made.share(0.5, leased=False)
    assert made.left == 250
    spend(made, 80)
    made.share(0.5, leased=True)
    assert made.left == 170, "as alone, until the first lease has settled the debt"
    assert made.due(0.0)
    made.settle("g", 40, [(0, 670, 1800), (0, 670, 84_600)], [-30.0, -30.0], 0.0)
    assert made.windows[0].balance == 40


def test_quotas_that_change_keep_what_was_used() -> None:
    """Raised from 5 to 8 three more pass; lowered to 6 none."""
    gate = Gate(clock=ManualClock())
    assert passed(gate, who(requests_per_hour=5), 9) == 5
    assert passed(gate, who(requests_per_hour=8), 9) == 3
    assert passed(gate, who(requests_per_hour=6), 9) == 0
    assert passed(gate, who(), 9) == 9


def test_shut_nothing_passes_and_that_is_no_quota() -> None:
    """The caller is told to come back, not that it used too much."""
    gate, caller = Gate(clock=ManualClock()), who(requests_per_hour=5)
    assert passed(gate, caller, 1) == 1
    gate._accounts["acme"].refill_alone(1.0, windows_shut=True)
    with pytest.raises(Unavailable, match="cannot be checked now"):
        gate.enter(caller)
    gate._accounts["acme"].refill_alone(1.0, shut=True)
    assert passed(gate, caller, 9) == 4, "there is no limit on its rate or its requests under way"


def test_a_rate_that_is_shut_lets_nothing_pass() -> None:
    """Tenants without such a limit are not asked about."""
    gate = Gate(clock=ManualClock())
    limited, free = who(requests_per_second=5), Principal(tenant="free", key_id="k")
    assert (passed(gate, limited, 1), passed(gate, free, 1)) == (1, 1)
    for account in gate._accounts.values():
        account.refill_alone(1.0, shut=True)
    with pytest.raises(Unavailable):
        gate.enter(limited)
    assert passed(gate, free, 9) == 9


def test_a_quota_of_nothing_closes() -> None:
    """As every limit of 0."""
    with pytest.raises(Overloaded, match="is 0"):
        Gate(clock=ManualClock()).enter(who(requests_per_day=0))
