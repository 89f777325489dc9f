# SPDX-License-Identifier: Apache-2.0
"""One tenant's account: what limits mean, and what is kept when the way of refilling changes."""

from __future__ import annotations

import math

import pytest

from services.dataplane.quota.account import Account, Terms, terms_of
from services.dataplane.quota.leases import slots_back, slots_due, tokens_back, tokens_due
from services.edge.context import NO_LIMITS, TenantLimits

RATE10 = TenantLimits(requests_per_second=10, burst=20, concurrent_requests=8)


def account(limits: TenantLimits = RATE10) -> Account:
    return Account("acme", limits, terms_of(limits, NO_LIMITS), now=0.0)


def leased(limits: TenantLimits = RATE10, share: float = 0.25) -> Account:
    made = account(limits)
    made.refill_by_lease(share, 0.0)
    return made


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ({}, {}, (math.inf, math.inf, math.inf)),
        ({"requests_per_second": 5}, {}, (5, 5, math.inf)),
        ({"requests_per_second": 0.5}, {}, (0.5, 1, math.inf)),
        ({"requests_per_second": 5, "burst": 2}, {}, (5, 2, math.inf)),
        ({"burst": 2}, {}, (math.inf, math.inf, math.inf)),
        ({"burst": 2}, {"requests_per_second": 5}, (5, 2, math.inf)),
        ({"requests_per_second": 5}, {"requests_per_second": 9, "burst": 90}, (5, 5, math.inf)),
        ({}, {"requests_per_second": 9, "burst": 90, "concurrent_requests": 3}, (9, 90, 3)),
        ({"concurrent_requests": 4}, {"concurrent_requests": 3}, (math.inf, math.inf, 4)),
        ({"requests_per_second": 0, "burst": 7}, {}, (0, 0, math.inf)),
    ],
    ids=str,
)
def test_what_limits_mean(own: dict[str, float], defaults: dict[str, float], expected: tuple[float, ...]) -> None:
    """The tenant's own where it has any, the service's elsewhere; a burst needs a rate to be one."""
    terms = terms_of(TenantLimits(**own), TenantLimits(**defaults))  # type: ignore[arg-type]
    assert (terms.rate, terms.burst, terms.slots) == expected


@pytest.mark.parametrize(
    ("terms", "limited", "closed"),
    [
        ((math.inf, math.inf, math.inf), False, False),
        ((1, 1, math.inf), True, False),
        ((1, 0, 5), True, True),
        ((math.inf, math.inf, 0), True, True),
    ],
)
def test_limited_and_closed(terms: tuple[float, float, float], limited: bool, closed: bool) -> None:
    """Whether there is any limit, and whether nothing can pass."""
    made = Terms(rate=terms[0], burst=terms[1], slots=terms[2])
    assert (made.limited, made.closed) == (limited, closed)


def test_a_new_account_may_spend_its_share_in_advance() -> None:
    """Leased and still without a lease: a quarter of burst and slots."""
    made = leased()
    assert (made.tokens, made.floor, made.rate, made.slots) == (0.0, -5.0, 0.0, 2)


def test_between_the_ways_of_refilling_nothing_is_won_or_lost() -> None:
    """What was spent alone is owed when leased, and the other way round; time that passed alone counts."""
    made = account()
    made.refill_alone(0.25)
    made.tokens = 1.0
    made.refill_by_lease(0.25, 0.4)
    assert (made.tokens, made.floor) == (-3.0, -5.0)
    made.refill_alone(0.25)
    assert (made.tokens, made.floor) == (2.0, 0.0)


def test_changed_limits_keep_what_is_held_and_owed() -> None:
    """A leased account whose limits flip keeps its debt, however often."""
    made = leased()
    made.tokens = -4.0
    for _ in range(10):
        for limits in (TenantLimits(requests_per_second=99, burst=40), RATE10):
            made.change(limits, terms_of(limits, NO_LIMITS))
            made.refill_by_lease(0.25, 0.0)
    assert (made.tokens, made.floor) == (-4.0, -5.0)


def test_an_empty_bucket_is_waited_for() -> None:
    """A lease that found nothing tells when the next token is there; one that found enough opens the account again."""
    made = leased()
    made.tokens = -2.0
    made.settle_tokens(2.0, -1.0, 100.0)
    assert (made.tokens, made.floor, made.available_at) == (0.0, -1.0, 100.2)
    assert not list(tokens_due(made, 100.1))
    assert list(tokens_due(made, 100.2))
    made.settle_tokens(5.0, 7.0, 101.0)
    assert (made.tokens, made.floor, made.available_at) == (5.0, -5.0, -math.inf)
    assert not list(tokens_due(made, 200.0))


def test_tokens_are_asked_for_ahead_and_given_back() -> None:
    """Below half a chunk, what is held is exchanged for a whole one; idle, it goes back."""
    made = leased()
    made.tokens = 2.0
    (lease,) = tokens_due(made, 0.0)
    assert (lease.balance, lease.want) == (2.0, 5.0)
    assert lease.call("p")[1:] == ("p:{acme}:tokens", (10, 20, 2.0, 5.0))
    made.tokens -= 1  # spent while Redis was being asked
    lease.settle(("5", "13"), 1.0)
    assert made.tokens == 4.0
    (back,) = tokens_back(made)
    assert (back.balance, back.want) == (4.0, 0.0)
    back.settle(("0", "17"), 2.0)
    assert made.tokens == 0.0
    assert not list(tokens_back(made))


def test_slots_follow_their_use() -> None:
    """At least the share, twice those in use, at most the limit; less by and by when fewer are used."""
    made = leased()
    wants = []
    for in_flight, held in ((0, 2), (1, 2), (3, 4), (7, 8), (0, 8), (0, 6)):
        made.in_flight, made.slots = in_flight, held
        (lease,) = slots_due(made, "me", 0.25)
        wants.append(lease.want)
    assert wants == [2, 4, 8, 8, 6, 4]
    assert lease.call("p")[1:] == ("p:{acme}:slots", (8, "me", 4, 2.0, 3.0))
    lease.settle(3, 0.0)
    assert made.slots == 3
    (back,) = slots_back(made, "me", 0.25)
    back.settle(0, 0.0)
    assert (back.want, made.slots) == (0, 2)


@pytest.mark.parametrize(
    "limits", [NO_LIMITS, TenantLimits(requests_per_second=0), TenantLimits(concurrent_requests=0)]
)
def test_without_limits_or_with_none_to_give_nothing_is_asked(limits: TenantLimits) -> None:
    """Neither tokens nor slots, neither to have nor to give back."""
    made = leased(limits)
    for leases in (tokens_due(made, 0), tokens_back(made), slots_due(made, "me", 1), slots_back(made, "me", 1)):
        assert not list(leases)


def test_a_reply_that_comes_too_late_changes_nothing() -> None:
    """A lease asked for before Redis went away, answered after."""
    made = leased()
    made.tokens = 1.0
    (tokens,), (slots,) = tokens_due(made, 0.0), slots_due(made, "me", 0.25)
    made.refill_alone(0.25)
    before = (made.tokens, made.slots)
    tokens.settle(("5", "5"), 1.0)
    slots.settle(8, 1.0)
    assert (made.tokens, made.slots) == before


def test_rest() -> None:
    """An account at rest is as good as a new one: it may be forgotten."""
    alone = account()
    assert alone.rested(0.0)
    alone.tokens, alone.at = 10.0, 5.0
    assert not alone.rested(5.9)
    assert alone.rested(6.0)
    alone.in_flight = 1
    assert not alone.rested(6.0)
    by_lease = leased()
    assert by_lease.rested(0.0)
    by_lease.tokens = 1.0
    assert not by_lease.rested(100.0)
    assert account(NO_LIMITS).rested(0.0)
