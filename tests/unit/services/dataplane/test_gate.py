# SPDX-License-Identifier: Apache-2.0
"""The gate: rates, bursts, requests under way; one account per tenant, and a bounded number of accounts."""

from __future__ import annotations

import math

import pytest
from prometheus_client import REGISTRY

from core.clock import ManualClock
from core.errors import ErrorCode, Overloaded
from core.telemetry import hot
from services.dataplane import gate as module
from services.dataplane.gate import Gate
from services.dataplane.quota.alone import Alone
from services.edge.context import Principal, TenantLimits


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def principal(tenant: str = "acme", key_id: str = "k", **limits: float) -> Principal:
    return Principal(tenant=tenant, key_id=key_id, limits=TenantLimits(**limits))  # type: ignore[arg-type]


def gate(clock: ManualClock, *, processes: int = 1, **defaults: float) -> Gate:
    return Gate(TenantLimits(**defaults), sharing=Alone(processes), clock=clock)  # type: ignore[arg-type]


def passed(gate: Gate, who: Principal, tries: int) -> int:
    """How many of some requests pass, each ending at once."""
    count = 0
    for _ in range(tries):
        try:
            gate.enter(who)
        except Overloaded:
            continue
        gate.leave(who)
        count += 1
    return count


def refusal(gate: Gate, who: Principal) -> Overloaded:
    with pytest.raises(Overloaded) as caught:
        gate.enter(who)
    assert caught.value.code == ErrorCode.QUOTA_EXCEEDED
    assert caught.value.retryable
    return caught.value


def test_without_limits_everything_passes(clock: ManualClock) -> None:
    """Neither the service nor the tenant's record sets one."""
    assert passed(gate(clock), principal(), 10_000) == 10_000


def test_a_burst_passes_and_then_the_rate(clock: ManualClock) -> None:
    """After a pause the burst at once, then one request per 1/rate, and no more than the burst is saved up."""
    made, who = gate(clock), principal(requests_per_second=10, burst=5)
    assert passed(made, who, 20) == 5
    clock.advance(0.1)
    assert passed(made, who, 20) == 1
    clock.advance(1000)
    assert passed(made, who, 20) == 5


def test_who_waits_as_long_as_told_passes(clock: ManualClock) -> None:
    """Retry-after is exact: a moment before it is too early, then it works."""
    made, who = gate(clock), principal(requests_per_second=3, burst=1)
    made.enter(who)
    for _ in range(100):
        wait = refusal(made, who).retry_after
        assert wait is not None
        clock.advance(wait - 0.001)
        refusal(made, who)
        clock.advance(0.001)
        made.enter(who)


def test_a_refusal_takes_nothing(clock: ManualClock) -> None:
    """A tenant that hammers is not kept out for longer."""
    made, who = gate(clock), principal(requests_per_second=1, burst=1)
    assert passed(made, who, 1) == 1
    for _ in range(10):
        clock.advance(0.1)
        assert passed(made, who, 100) == (1 if _ == 9 else 0)


def test_a_rate_below_one(clock: ManualClock) -> None:
    """One request in ten seconds."""
    made, who = gate(clock), principal(requests_per_second=0.1)
    assert passed(made, who, 5) == 1
    assert refusal(made, who).retry_after == pytest.approx(10)


def test_requests_under_way_are_limited(clock: ManualClock) -> None:
    """One more than the limit is refused until one of them ends; it takes no token."""
    made, who = gate(clock), principal(concurrent_requests=3, requests_per_second=1, burst=4)
    for _ in range(3):
        made.enter(who)
    for _ in range(10):
        assert "3 concurrent requests" in refusal(made, who).message
    made.leave(who)
    made.enter(who)
    made.leave(who)
    assert "1 requests per second" in refusal(made, who).message


@pytest.mark.parametrize("limit", ["requests_per_second", "burst", "concurrent_requests"])
def test_a_limit_of_nothing_lets_nothing_pass(clock: ManualClock, limit: str) -> None:
    """0 closes the tenant off, and says that waiting alone does not help."""
    made, who = gate(clock), principal(**{"requests_per_second": 5, limit: 0})  # type: ignore[arg-type]
    for _ in range(3):
        error = refusal(made, who)
        assert "is 0" in error.message
        assert error.retry_after == 60
        clock.advance(1000)


def test_the_keys_of_a_tenant_share_one_account(clock: ManualClock) -> None:
    """However many credentials a tenant has, it gets no more; another tenant is not touched."""
    made = gate(clock)
    keys = [principal(key_id=f"k{n}", requests_per_second=1, burst=10, concurrent_requests=10) for n in range(100)]
    assert sum(passed(made, key, 1) for key in keys) == 10
    assert passed(made, principal("globex", requests_per_second=1, burst=10), 20) == 10
    assert len(made) == 2


def test_defaults_hold_where_the_record_is_silent(clock: ManualClock) -> None:
    """Each limit on its own; a rate of the tenant's own does not inherit the default burst."""
    made = gate(clock, requests_per_second=2, burst=6, concurrent_requests=1)
    assert passed(made, principal("default"), 100) == 6
    assert passed(made, principal("own-burst", burst=3), 100) == 3
    assert passed(made, principal("own-rate", requests_per_second=4), 100) == 4
    made.enter(principal("own-rate-2", requests_per_second=100))
    refusal(made, principal("own-rate-2", requests_per_second=100))


def test_changed_limits_count_at_once_and_forgive_nothing(clock: ManualClock) -> None:
    """A new record replaces the old one; what was spent stays spent, whatever a key with the old record does."""
    made = gate(clock)
    old, new = principal(requests_per_second=1, burst=10), principal(requests_per_second=1, burst=4)
    assert passed(made, old, 3) == 3
    assert passed(made, new, 10) == 4
    assert passed(made, old, 10) == 0
    for _ in range(100):
        assert passed(made, new, 1) + passed(made, old, 1) == 0
    clock.advance(1)
    assert passed(made, old, 10) == 1


def test_limits_that_appear_count_what_is_under_way(clock: ManualClock) -> None:
    """Requests let in without a limit are counted when one is set, and their end is noticed."""
    made, free, limited = gate(clock), principal(), principal(concurrent_requests=2)
    for _ in range(3):
        made.enter(free)
    refusal(made, limited)
    made.leave(free)
    refusal(made, limited)
    made.leave(free)
    made.enter(limited)


def test_a_clock_that_goes_back_refills_nothing(clock: ManualClock) -> None:
    """Nor does it keep anybody out."""
    made, who = gate(clock), principal(requests_per_second=1, burst=2)
    assert passed(made, who, 2) == 2
    clock.advance(-1000)
    assert passed(made, who, 2) == 0
    clock.advance(1)
    assert passed(made, who, 2) == 1


def test_processes_have_a_share_each(clock: ManualClock) -> None:
    """Alone, one of four processes gives a quarter of rate, burst and slots, and never less than one request."""
    made = gate(clock, processes=4)
    big, small = (
        principal("big", requests_per_second=40, burst=80, concurrent_requests=8),
        principal("small", burst=1, requests_per_second=1, concurrent_requests=1),
    )
    assert passed(made, big, 100) == 20
    clock.advance(0.5)
    assert passed(made, big, 100) == 5
    clock.advance(1)
    for _ in range(2):
        made.enter(big)
    assert "concurrent" in refusal(made, big).message
    assert passed(made, small, 5) == 1
    assert refusal(made, small).retry_after == pytest.approx(4)


def test_accounts_are_bounded(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants that use nothing and have their burst again are forgotten; nobody gains by it."""
    monkeypatch.setattr(module, "_MOST_ACCOUNTS", 10)
    made = gate(clock)
    busy, spent = principal("busy"), principal("spent", requests_per_second=0.001, burst=1)
    made.enter(busy)
    assert passed(made, spent, 1) == 1
    for n in range(100):
        clock.advance(1)
        assert passed(made, principal(f"t{n}", requests_per_second=1, burst=1), 2) == 1
        assert len(made) <= 10
        assert passed(made, spent, 1) == 0
    made.leave(busy)


def test_when_no_account_is_at_rest_the_idle_ones_go(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently used half; those with requests under way stay, and when all have some, new tenants wait."""
    monkeypatch.setattr(module, "_MOST_ACCOUNTS", 4)
    made = gate(clock)
    tenants = [principal(f"t{n}", requests_per_second=0.001, burst=1) for n in range(8)]
    for tenant in tenants[:4]:
        clock.advance(1)
        assert passed(made, tenant, 1) == 1
    made.enter(tenants[4])
    assert passed(made, tenants[3], 1) == 0
    assert len(made) == 2
    for tenant in tenants[5:8]:
        made.enter(tenant)
    with pytest.raises(Overloaded) as caught:
        made.enter(principal("one-more"))
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.QUEUE_FULL, 1.0)
    made.leave(tenants[4])
    made.enter(principal("one-more"))


def test_refusals_are_counted(clock: ManualClock) -> None:
    """By tenant and by the limit that was reached."""
    made = gate(clock)
    rate = principal("counted", requests_per_second=1, burst=1)
    passed(made, rate, 5)
    passed(made, principal("counted", concurrent_requests=0), 2)
    hot.flush()
    for reason, expected in (("rate", 4), ("closed", 2), ("concurrency", None)):
        labels = {"tenant": "counted", "reason": reason}
        assert REGISTRY.get_sample_value("furoshiki_quota_refused_total", labels) == expected


def test_unlimited_slots_beside_a_rate(clock: ManualClock) -> None:
    """One limit does not bring the other."""
    made, who = gate(clock), principal(requests_per_second=1e6, burst=1_000_000)
    for _ in range(1000):
        made.enter(who)
    assert math.isinf(made._accounts["acme"].slots)


async def test_a_gate_of_one_process_closes() -> None:
    """Twice, too."""
    made = Gate()
    await made.close()
    await made.close()
