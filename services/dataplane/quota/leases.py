# SPDX-License-Identifier: Apache-2.0
"""What is asked of Redis for one account: tokens, slots, or requests of its hour and day.

A lease knows its script, its arguments and what its reply means. A process holds at most its share of a tenant's burst at a
time, and hands back what it did not use for ``IDLE_S``; what a process that died held comes back by itself: tokens by the
bucket's refill, slots after ``SLOTS_LIFETIME_S``, requests with the next hour or day.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from artifacts.coordination.link import Call
from services.dataplane.quota.account import Account
from services.dataplane.quota.allowance import Allowance
from services.dataplane.quota.script import LEASE_SLOTS, LEASE_TOKENS, LEASE_WINDOWS, keys_of

IDLE_S: Final = 1.0  # after a tenant's last request
SLOTS_LIFETIME_S: Final = 3.0
_KEPT: Final = 0.8  # of its slots a process asks for again though it does not use them


class Lease(Protocol):
    """One call of a script."""

    @property
    def account(self) -> Account:
        """Whose."""
        ...

    def call(self, prefix: str) -> Call:
        """The script with its key and arguments."""
        ...

    def settle(self, reply: Any, now: float) -> None:
        """Writes what was granted into the account."""
        ...


@dataclass(frozen=True, slots=True)
class TokenLease:
    """Hands back what the account holds, or pays what it owes, and asks for ``want`` tokens."""

    account: Account
    balance: float
    want: float

    def call(self, prefix: str) -> Call:
        terms = self.account.terms
        return (
            LEASE_TOKENS,
            keys_of(prefix, self.account.tenant).tokens,
            (terms.rate, terms.burst, self.balance, self.want),
        )

    def settle(self, reply: Any, now: float) -> None:
        if _has_rate(self.account):
            granted, left = reply
            self.account.settle_tokens(float(granted) - self.balance, float(left), now)


@dataclass(frozen=True, slots=True)
class SlotLease:
    """Says how many slots the account wants from now on; 0 hands all back."""

    account: Account
    process: str
    want: int
    share: float

    def call(self, prefix: str) -> Call:
        arguments = (self.account.terms.slots, self.process, self.want, self.share, SLOTS_LIFETIME_S)
        return LEASE_SLOTS, keys_of(prefix, self.account.tenant).slots, arguments

    def settle(self, reply: Any, now: float) -> None:  # noqa: ARG002
        account = self.account
        if _has_slots(account):
            if self.want:
                account.settle_slots(int(reply))
            else:
                account.return_slots(math.floor(self.share))


@dataclass(frozen=True, slots=True)
class WindowLease:
    """Hands back what the account holds of its hour and day, or settles what it owes, and asks for ``want`` requests."""

    account: Account
    allowance: Allowance
    numbers: tuple[int, ...]  # of the windows that the balances are of
    balances: tuple[float, ...]
    want: int

    def call(self, prefix: str) -> Call:
        arguments: list[str | float] = [self.allowance.generation, self.want]
        for window, number, balance in zip(self.allowance.windows, self.numbers, self.balances, strict=True):
            limit = window.limit if window.limit < math.inf else -1
            arguments += [limit, window.seconds, number, window.taken, balance]
        return LEASE_WINDOWS, keys_of(prefix, self.account.tenant).windows, arguments

    def settle(self, reply: Any, now: float) -> None:
        if self.account.allowance is not self.allowance or not self.allowance.leased:
            return
        heard = [(int(reply[at]), float(reply[at + 1]), float(reply[at + 2])) for at in (2, 5)]
        kept = zip(self.allowance.windows, self.numbers, self.balances, strict=True)
        returned = [balance if window.number == number else 0.0 for window, number, balance in kept]
        self.allowance.settle(str(reply[0]), int(reply[1]), heard, returned, now)


def tokens_due(account: Account, now: float) -> Iterator[TokenLease]:
    """The tokens to ask for now: none if it has enough, or the tenant's bucket is known to be empty still."""
    if _has_rate(account) and account.tokens < account.low and now >= account.available_at:
        yield TokenLease(account, account.tokens, account.burst)


def tokens_back(account: Account) -> Iterator[TokenLease]:
    """What an idle account hands back or owes, if anything."""
    if _has_rate(account) and account.tokens:
        yield TokenLease(account, account.tokens, 0.0)


def slots_due(account: Account, process: str, share: float) -> Iterator[SlotLease]:
    """The slots to ask for, if the tenant has such a limit: twice those in use, at least this process's share."""
    if _has_slots(account):
        own = max(1.0, account.terms.slots * share)
        want = max(own, 2.0 * (account.in_flight + 1), account.slots * _KEPT)
        yield SlotLease(account, process, math.floor(min(want, account.terms.slots)), own)


def slots_back(account: Account, process: str, share: float) -> Iterator[SlotLease]:
    """Hands all slots of an idle account back."""
    if _has_slots(account):
        yield SlotLease(account, process, 0, max(1.0, account.terms.slots * share))


def windows_due(account: Account, now: float) -> Iterator[WindowLease]:
    """The requests of its hour and day to ask for now, if it runs low."""
    for allowance in _allowance(account):
        if allowance.due(now):
            yield _windows(account, allowance, allowance.wanted())


def windows_kept(account: Account) -> Iterator[WindowLease]:
    """What an account in use hands back and asks for again, so that each process knows how much all have taken."""
    for allowance in _allowance(account):
        yield _windows(account, allowance, allowance.wanted())


def windows_back(account: Account) -> Iterator[WindowLease]:
    """What an idle account hands back or owes of its hour and day, if anything."""
    for allowance in _allowance(account):
        lease = _windows(account, allowance, 0)
        if any(lease.balances):
            yield lease


def _windows(account: Account, allowance: Allowance, want: int) -> WindowLease:
    allowance.fold()
    windows = allowance.windows
    return WindowLease(account, allowance, tuple(w.number for w in windows), tuple(w.balance for w in windows), want)


def _allowance(account: Account) -> Iterator[Allowance]:
    if account.leased and account.allowance is not None and not account.terms.closed:
        yield account.allowance


def _has_rate(account: Account) -> bool:
    return account.leased and account.terms.rate < math.inf and not account.terms.closed


def _has_slots(account: Account) -> bool:
    return account.leased and account.terms.slots < math.inf and not account.terms.closed
