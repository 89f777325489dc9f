# SPDX-License-Identifier: Apache-2.0
"""The gate every request passes before anything is done for it: its tenant's rate, requests under way, hour and day.

All credentials of a tenant share one account. A request that is one too many is refused at once with ``QUOTA_001`` and the
time after which it would pass; it takes nothing from the account. Passing costs no await, no database and no Redis: see
``services.dataplane.quota`` for how processes share a tenant's limits.

Only authenticated tenants get an account, and at most ``_MOST_ACCOUNTS`` have one: those that use nothing and have their
whole burst again are forgotten, which changes nothing for them.
"""

from __future__ import annotations

import math
from typing import Final

from core.clock import Clock, SystemClock
from core.errors import ErrorCode, Overloaded, Unavailable
from core.telemetry import metrics
from core.telemetry.hot import Tally
from services.dataplane.quota.account import ALMOST_ONE, Account, terms_of
from services.dataplane.quota.allowance import Allowance
from services.dataplane.quota.alone import Alone
from services.dataplane.quota.interface import Sharing
from services.edge.context import NO_LIMITS, Principal, TenantLimits

_MOST_ACCOUNTS: Final = 10_000
_LEASE_WAIT_S: Final = 0.05  # after which a lease that is under way has arrived
_SLOT_WAIT_S: Final = 1.0  # nobody knows when a request under way ends
_CLOSED_WAIT_S: Final = 60.0  # until somebody raises the limit
_SHUT_WAIT_S: Final = 5.0  # until Redis may be back


class Gate:
    """Lets requests in, and refuses those beyond their tenant's limits. Use from one thread.

    Args:
        defaults: For tenants whose record sets no limit.
        sharing: How accounts are refilled; None: this process has the whole of every tenant's limits.
        clock: For the refilling.
    """

    def __init__(
        self, defaults: TenantLimits = NO_LIMITS, *, sharing: Sharing | None = None, clock: Clock | None = None
    ) -> None:
        self._defaults = defaults
        self._sharing = sharing or Alone()
        clock = clock or SystemClock()
        self._now, self._monotonic = clock.now, clock.monotonic
        self._accounts: dict[str, Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def enter(self, principal: Principal) -> None:
        """Lets one request in; it must :meth:`leave` once.

        Raises:
            Overloaded: ``QUOTA_001`` with ``retry_after`` if it is one too many now.
            Unavailable: ``STORE_001`` if Redis is away and limits were set to let nothing pass without it.
        """
        account = self._accounts.get(principal.tenant)
        if account is None or account.limits is not principal.limits:
            account = self._account(principal)
        if account.limited:
            if account.in_flight >= account.slots:
                raise self._no_slot(account)
            now = self._monotonic()
            tokens = account.tokens
            elapsed = now - account.at
            account.at = now
            if elapsed > 0.0:
                tokens += elapsed * account.rate
                tokens = min(tokens, account.burst)
            if tokens < ALMOST_ONE and (tokens - 1.0 < account.floor or now < account.available_at):
                account.tokens = tokens
                raise self._no_token(account, now)
            if account.allowance is not None:
                account.tokens = tokens
                self._spend(account, account.allowance, now)
            account.tokens = tokens - 1.0
            if (tokens < account.low or account.in_flight >= account.slots_low) and not account.asking:
                self._need(account)
        account.in_flight += 1

    def leave(self, principal: Principal) -> None:
        """A request that was let in has ended."""
        self._accounts[principal.tenant].in_flight -= 1

    async def close(self) -> None:
        """Gives back what this process holds of limits that are shared; may be called twice."""
        await self._sharing.close()

    def _account(self, principal: Principal) -> Account:
        tenant, limits = principal.tenant, principal.limits
        account = self._accounts.get(tenant)
        if account is not None and account.limits == limits:
            account.limits = limits
            return account
        terms = terms_of(limits, self._defaults)
        now = self._monotonic()
        if account is None:
            self._make_room()
            account = self._accounts[tenant] = Account(tenant, limits, terms, now)
        else:
            account.change(limits, terms)
        account.count_windows(wall=self._now().timestamp(), now=now)
        self._sharing.join(account)
        return account

    def _spend(self, account: Account, allowance: Allowance, now: float) -> None:
        if now >= allowance.turns_at:
            allowance.turn(now)
        if allowance.left < 1.0:
            raise self._no_allowance(account, allowance, now)
        allowance.left -= 1.0
        if allowance.left < allowance.low and not account.asking:
            self._need(account)

    def _need(self, account: Account) -> None:
        account.asking = True
        self._sharing.need(account)

    def _make_room(self) -> None:
        if len(self._accounts) < _MOST_ACCOUNTS:
            return
        now = self._monotonic()
        idle = sorted((a for a in self._accounts.values() if not a.in_flight), key=lambda account: account.at)
        rested = [account for account in idle if account.rested(now)]
        for account in rested or idle[: len(idle) // 2 + 1]:
            del self._accounts[account.tenant]
        if len(self._accounts) >= _MOST_ACCOUNTS:
            raise Overloaded(ErrorCode.QUEUE_FULL, "Too many tenants have requests under way.", retry_after=1.0)

    def _no_slot(self, account: Account) -> Overloaded | Unavailable:
        if account.shut:
            return _shut(account)
        if not account.asking:
            self._need(account)
        limit = account.terms.slots
        if account.terms.closed:
            return _closed(account)
        return _refusal(
            account,
            "concurrency",
            f"Tenant {account.tenant!r} has its {limit:g} concurrent requests under way; wait for one to end.",
            retry_after=_SLOT_WAIT_S,
        )

    def _no_token(self, account: Account, now: float) -> Overloaded:
        if account.terms.closed:
            return _closed(account)
        if account.rate > 0.0:
            wait = (1.0 - account.tokens) / account.rate
        else:
            if not account.asking:
                self._need(account)
            wait = max(account.available_at - now, _LEASE_WAIT_S)
        terms = account.terms
        return _refusal(
            account,
            "rate",
            f"Tenant {account.tenant!r} may send {terms.rate:g} requests per second and {terms.burst:g} at once; "
            f"try again in {wait:.3f} s.",
            retry_after=wait,
        )

    def _no_allowance(self, account: Account, allowance: Allowance, now: float) -> Overloaded | Unavailable:
        if account.terms.closed:
            return _closed(account)
        if allowance.shut:
            return _shut(account)
        if allowance.leased and now >= allowance.retry_at and not account.asking:
            self._need(account)
        used_up = allowance.used_up()
        wait = max((window.ends_at - now for window in used_up), default=_LEASE_WAIT_S)
        quotas = " and ".join(f"{window.limit:.0f} requests per {window.name}" for window in used_up)
        return _refusal(
            account,
            "window",
            f"Tenant {account.tenant!r} has used its {quotas} (UTC); try again in {math.ceil(wait)} s.",
            retry_after=wait,
        )


def _shut(account: Account) -> Unavailable:
    _count(account, "shut")
    return Unavailable(
        ErrorCode.STORE_UNAVAILABLE,
        f"The limits of tenant {account.tenant!r} cannot be checked now.",
        retry_after=_SHUT_WAIT_S,
    )


def _closed(account: Account) -> Overloaded:
    message = f"A limit of tenant {account.tenant!r} is 0: no request passes until its operator raises it."
    return _refusal(account, "closed", message, retry_after=_CLOSED_WAIT_S)


def _refusal(account: Account, reason: str, message: str, *, retry_after: float) -> Overloaded:
    _count(account, reason)
    return Overloaded(ErrorCode.QUOTA_EXCEEDED, message, details={"limit": reason}, retry_after=retry_after)


def _count(account: Account, reason: str) -> None:
    tally = account.refused.get(reason)
    if tally is None:
        tally = account.refused[reason] = Tally(metrics.QUOTA_REFUSED.labels(account.tenant, reason))
    tally.add()
