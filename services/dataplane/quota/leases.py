# SPDX-License-Identifier: Apache-2.0
"""What is asked of Redis for one account: tokens, or slots. A lease knows its script, its arguments and what its reply means.

A process holds at most its share of a tenant's burst at a time, and hands back what it did not use for ``IDLE_S``; what a
process that died held comes back by itself: tokens by the bucket's refill, slots after ``SLOTS_LIFETIME_S``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from services.dataplane.quota.account import Account
from services.dataplane.quota.script import LEASE_SLOTS, LEASE_TOKENS, keys_of

IDLE_S: Final = 1.0  # after a tenant's last request
SLOTS_LIFETIME_S: Final = 3.0
_KEPT: Final = 0.8  # of its slots a process asks for again though it does not use them

Call: TypeAlias = tuple[str, str, tuple[str | float, ...]]  # script, key, arguments


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


def _has_rate(account: Account) -> bool:
    return account.leased and account.terms.rate < math.inf and not account.terms.closed


def _has_slots(account: Account) -> bool:
    return account.leased and account.terms.slots < math.inf and not account.terms.closed
