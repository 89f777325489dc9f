# SPDX-License-Identifier: Apache-2.0
"""The law of the gate: in any stretch of time a tenant gets at most its burst and what its rate gives in that time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import ManualClock
from core.errors import Overloaded
from services.dataplane.gate import Gate
from services.edge.context import Principal, TenantLimits

PAUSES = st.lists(st.floats(0, 5) | st.just(0.0), max_size=200)


@settings(deadline=None)
@given(rate=st.floats(0.01, 1000), burst=st.integers(1, 20), pauses=PAUSES)
def test_no_stretch_of_time_lets_more_pass(rate: float, burst: int, pauses: list[float]) -> None:
    """For every pair of admitted requests; and whoever waited as long as told is admitted."""
    clock = ManualClock()
    gate, who = (
        Gate(clock=clock),
        Principal(tenant="acme", key_id="k", limits=TenantLimits(requests_per_second=rate, burst=burst)),
    )
    admitted: list[float] = []
    promised = 0.0
    for pause in pauses:
        clock.advance(pause)
        try:
            gate.enter(who)
        except Overloaded as refusal:
            too_early = clock.monotonic() < promised or not promised
            promised = clock.monotonic() + (refusal.retry_after or 0.0)
            assert too_early
        else:
            gate.leave(who)
            admitted.append(clock.monotonic())
            promised = 0.0
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert last - first + 1 <= burst + rate * (admitted[last] - start) + 1e-3


@settings(deadline=None)
@given(limit=st.integers(1, 5), steps=st.lists(st.booleans(), max_size=100))
def test_under_way_is_counted_exactly(limit: int, steps: list[bool]) -> None:
    """Against a plain counter: True is a request that comes, False one that ends."""
    gate, who = Gate(), Principal(tenant="acme", key_id="k", limits=TenantLimits(concurrent_requests=limit))
    under_way = 0
    for comes in steps:
        if comes:
            try:
                gate.enter(who)
            except Overloaded:
                assert under_way == limit
            else:
                under_way += 1
        elif under_way:
            gate.leave(who)
            under_way -= 1
        assert under_way <= limit
