# SPDX-License-Identifier: Apache-2.0
"""What one tenant may still use in this process: a token bucket of requests, and slots for requests under way.

The same few numbers serve two ways of refilling, so that the gate's hot path has one form:

- *alone*: the bucket refills itself with ``rate`` per second up to ``burst``, and never goes below nothing;
- *leased*: it does not refill itself (``rate`` 0); tokens and slots are leased in chunks, ahead of need. Tokens may be
  spent before their lease has arrived, down to ``floor``; the next lease settles them.

What it may use in an hour and a day is in its :class:`~services.dataplane.quota.allowance.Allowance`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from core.telemetry.hot import Tally
from services.dataplane.quota.allowance import Allowance
from services.edge.context import TenantLimits

ALMOST_ONE: Final = 1.0 - 1e-6  # of a token: whoever waited as long as told must not fail for the last bit of a float

_ONE_TOKEN: Final = -1.0
_AT_ONCE: Final = -1.0  # the first request has slots asked for, so that other processes know of it
_ASK_AHEAD: Final = 0.75  # of its slots in use before a tenant's next ones are asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A tenant's limits, without anything left open. ``inf``: no limit."""

    rate: float  # requests per second
    burst: float  # requests at once; at least one unless it is 0
    slots: float  # requests under way
    hourly: float = math.inf  # requests in an hour of UTC
    daily: float = math.inf  # requests in a day of UTC

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.rate < math.inf or self.slots < math.inf or self.has_windows

    @property
    def has_windows(self) -> bool:
        """Whether there is a limit per hour or day."""
        return self.hourly < math.inf or self.daily < math.inf

    @property
    def closed(self) -> bool:
        """Whether no request can ever pass."""
        return 0 in (self.rate, self.burst, self.slots, self.hourly, self.daily)


def terms_of(limits: TenantLimits, defaults: TenantLimits) -> Terms:
    """What holds for a tenant: its own limits, and the service's defaults where it has none.

    A rate without a burst allows at once what it allows in one second, and at least one request; a rate of 0 nothing.
    """
    own_rate = limits.requests_per_second
    rate = defaults.requests_per_second if own_rate is None else own_rate
    burst: float | None = limits.burst
    if burst is None and own_rate is None:
        burst = defaults.burst
    if rate is None:
        rate = burst = math.inf
    elif rate == 0:
        burst = 0.0
    elif burst is None:
        burst = max(1.0, rate)
    return Terms(
        rate=rate,
        burst=burst,
        slots=_first(limits.concurrent_requests, defaults.concurrent_requests),
        hourly=_first(limits.requests_per_hour, defaults.requests_per_hour),
        daily=_first(limits.requests_per_day, defaults.requests_per_day),
    )


class Account:
    """One tenant in this process. The gate reads and writes its numbers; everything that is rare is a method.

    Args:
        tenant: Whose.
        limits: The tenant's own, as they came with a request.
        terms: What they mean here.
        now: On the monotonic clock.
    """

    __slots__ = (
        "__weakref__",
        "allowance",
        "asking",
        "at",
        "available_at",
        "burst",
        "floor",
        "in_flight",
        "leased",
        "limited",
        "limits",
        "low",
        "rate",
        "refused",
        "shut",
        "slots",
        "slots_low",
        "tenant",
        "terms",
        "tokens",
    )

    def __init__(self, tenant: str, limits: TenantLimits, terms: Terms, now: float) -> None:
        self.tenant = tenant
        self.at = now  # last request
        self.in_flight = 0
        self.tokens = terms.burst
        self.floor = 0.0
        self.leased = self.shut = False
        self.allowance: Allowance | None = None  # None: no limit per hour or day
        self.refused: dict[str, Tally] = {}  # by reason
        self.change(limits, terms)
        self.refill_alone(1.0)

    def change(self, limits: TenantLimits, terms: Terms) -> None:
        """Sets other limits; whoever refills the account has to be told."""
        self.limits = limits
        self.terms = terms
        self.limited = terms.limited

    def count_windows(self, *, wall: float, now: float) -> None:
        """Makes, changes or ends the allowance as the terms say.

        Args:
            wall: Seconds since the epoch.
            now: On the monotonic clock, at the same moment.
        """
        terms = self.terms
        if not terms.has_windows:
            self.allowance = None
        elif self.allowance is None:
            self.allowance = Allowance(terms.hourly, terms.daily, wall=wall, now=now)
        else:
            self.allowance.change(terms.hourly, terms.daily)

    def refill_alone(self, share: float, *, shut: bool = False, windows_shut: bool = False) -> None:
        """From now on this process has a fixed share of the tenant's limits, and at least one request.

        What it has spent beforehand stays spent.

        Args:
            share: Of every limit that is this process's.
            shut: A tenant with a limit on its rate or its requests under way gets nothing.
            windows_shut: A tenant with a limit per hour or day gets nothing.
        """
        terms = self.terms
        if self.allowance is not None:
            self.allowance.share(share, leased=False, shut=windows_shut)
        if self.leased:
            self.tokens -= self.floor  # what it could still have spent
        self.rate = terms.rate * share if terms.rate < math.inf else 0.0
        self.burst = _share(terms.burst, share)
        self.tokens = min(self.tokens, self.burst) if self.burst < math.inf else math.inf
        self.floor = 0.0
        self.slots = math.floor(_share(terms.slots, share)) if terms.slots < math.inf else math.inf
        self.low, self.slots_low = -math.inf, math.inf
        self.available_at = -math.inf
        self.leased = self.asking = False
        self.shut = shut and (terms.rate < math.inf or terms.slots < math.inf)
        if self.shut:
            self.slots = 0.0

    def refill_by_lease(self, share: float, now: float) -> None:
        """From now on tokens and slots are leased; until the first lease arrives the share may be used in advance.

        An account that is leased already keeps what it holds and owes: limits that change must not wipe out debts.
        """
        was_leased, floor, slots = self.leased, self.floor, self.slots
        if was_leased:
            tokens = self.tokens
            self.leased = False
        else:
            tokens = self.tokens + max(0.0, now - self.at) * self.rate
            self.at = now
        self.refill_alone(share)
        if self.allowance is not None:
            self.allowance.share(share, leased=True)
        self.leased = True
        self.rate = 0.0
        if self.burst < math.inf:
            was_limited = was_leased and tokens < math.inf
            self.tokens = tokens if was_limited else min(tokens, self.burst) - self.burst
            self.floor = max(floor, -self.burst) if was_limited else -self.burst
            self.low = self.burst / 2
        if self.slots < math.inf:
            self.slots = min(slots, self.terms.slots) if was_leased and slots < math.inf else self.slots
            self.slots_low = _AT_ONCE

    def rested(self, now: float) -> bool:
        """Whether a new account would be the same."""
        if self.in_flight or (self.allowance is not None and not self.allowance.untouched):
            return False
        if self.terms.rate == math.inf:
            return True
        if self.leased:
            return self.tokens == 0.0 and self.available_at <= now
        return self.tokens + (now - self.at) * self.rate >= self.burst

    def settle_tokens(self, change: float, left: float, now: float) -> None:
        """A lease arrived.

        Args:
            change: Tokens granted, less those that were returned, plus those spent in advance and now paid.
            left: What is left in the tenant's bucket; below 0 if processes spent more in advance than it held.
            now: On the monotonic clock.
        """
        self.tokens += change
        if left < ALMOST_ONE:
            self.floor = _ONE_TOKEN
            self.available_at = now + max(0.0, 1.0 - left - self.tokens) / self.terms.rate
        else:
            self.floor = -self.burst
            self.available_at = -math.inf

    def return_slots(self, share: int) -> None:
        """No slots are leased any more; the share may be used in advance again."""
        self.slots = share
        self.slots_low = _AT_ONCE

    def settle_slots(self, granted: int) -> None:
        """Slots were leased, as many as may be used from now on."""
        self.slots = granted
        self.slots_low = granted * _ASK_AHEAD - 1 if granted < self.terms.slots else math.inf


def _first(own: float | None, default: float | None) -> float:
    limit = default if own is None else own
    return math.inf if limit is None else limit


def _share(whole: float, share: float) -> float:
    return whole if whole in (0, math.inf) else max(1.0, whole * share)
