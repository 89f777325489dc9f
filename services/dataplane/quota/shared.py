# SPDX-License-Identifier: Apache-2.0
"""Limits that several processes share through Redis, without a round trip for a request.

The gate spends what an account holds. When it runs low, or slots are about to be used up, one task asks Redis beside the
requests, for all accounts that need something in one round trip, at most every ``_PAUSE_S``. See ADR 0009 for what the
processes together may let pass beyond a limit.

When Redis does not answer, every process goes on with its share of each tenant's limits (1 / processes), or lets nothing of
such tenants pass if that was set, says so in the log and in ``furoshiki_quota_shared``, and tries again; then leases go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final
from weakref import WeakSet

from artifacts.coordination.link import Link
from core.clock import Clock
from core.telemetry import metrics
from core.telemetry.logs import get_logger
from services.dataplane.quota.account import Account
from services.dataplane.quota.leases import (
    IDLE_S,
    SLOTS_LIFETIME_S,
    Lease,
    slots_back,
    slots_due,
    tokens_back,
    tokens_due,
    windows_back,
    windows_due,
    windows_kept,
)
from services.dataplane.quota.script import LEASE_TOKENS, MEMORY

_PAUSE_S: Final = 0.01  # between two round trips
_SWEEP_S: Final = SLOTS_LIFETIME_S / 4  # between two looks at all accounts: renewals, and what idle ones hand back
_SCARCE_S: Final = 0.1  # before slots that were not to be had are asked for again
_RETRY_S: Final = 0.25  # the link decides how often Redis is really asked
_MOST_CALLS: Final = 500  # in one round trip

log = get_logger(__name__)


class SharedThroughRedis:
    """Implements :class:`services.dataplane.quota.interface.Sharing` with leases.

    Args:
        link: To Redis; whoever made it closes it.
        processes: How many processes the tenants' requests are spread over.
        prefix: Of all keys.
        clock: The gate's.
        rates_shut: While Redis is away tenants with a limit on their rate or requests under way get nothing.
        windows_shut: While Redis is away tenants with a limit per hour or day get nothing.
    """

    def __init__(
        self,
        link: Link,
        *,
        processes: int,
        prefix: str,
        clock: Clock,
        rates_shut: bool = False,
        windows_shut: bool = False,
    ) -> None:
        self._link = link
        self._share = 1.0 / processes
        self._prefix = prefix
        self._rates_shut, self._windows_shut = rates_shut, windows_shut
        self._monotonic = clock.monotonic
        self._process = uuid.uuid4().hex
        self._accounts: WeakSet[Account] = WeakSet()  # the gate may forget any of them
        self._needy: dict[Account, None] = {}
        self._active: dict[Account, float] = {}  # may hold a lease: when its slots may be asked for again
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sweep_at = 0.0
        self._memory = ""  # of Redis, as last seen
        self._closing = False
        self.shared = False

    def join(self, account: Account) -> None:
        self._accounts.add(account)
        if self.shared:
            account.refill_by_lease(self._share, self._monotonic())
        else:
            self._go_alone(account)

    def need(self, account: Account) -> None:
        self._needy[account] = None
        self._active.setdefault(account, 0.0)
        self._wake.set()

    async def start(self) -> None:
        """Looks for Redis once, so that the first request finds limits shared, and goes on beside the requests."""
        await self._try(self._probe())
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Hands back what is held, as far as Redis answers; may be called twice."""
        if self._task is not None:
            # Not cancelled: what the Redis client makes of a cancellation is not always one.
            self._closing = True
            self._wake.set()
            await self._task
            self._task = None
            if self.shared:
                await self._try(self._settle([lease for account in self._active for lease in self._back(account)]))

    async def _run(self) -> None:
        while not self._closing:
            if self.shared:
                await self._try(self._pass())
                await asyncio.sleep(_PAUSE_S)
                if not self._needy:
                    await self._woken(self._sweep_at - self._monotonic())
            else:
                await self._woken(_RETRY_S)
                await self._try(self._probe())

    async def _try(self, step: Coroutine[Any, Any, None]) -> None:
        """Whatever Redis does, requests go on."""
        try:
            await step
        except Exception as error:
            if self.shared or self._task is None:
                self._lost(error)

    async def _woken(self, seconds: float) -> None:
        """Until an account needs something, this is closed, or so many seconds have passed."""
        self._wake.clear()
        if not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, seconds)):
                    await self._wake.wait()

    async def _pass(self) -> None:
        now = self._monotonic()
        needy, self._needy = self._needy, {}
        leases = [lease for account in needy for lease in self._needed(account, now)]
        if now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_S
            await self._look_at_memory()
            leases += [lease for account in set(self._active) - set(needy) for lease in self._swept(account, now)]
        await self._settle(leases)
        for account in needy:
            account.asking = False

    def _needed(self, account: Account, now: float) -> Iterator[Lease]:
        yield from tokens_due(account, now)
        yield from windows_due(account, now)
        if account.in_flight >= account.slots_low and now >= self._active[account]:
            self._active[account] = now + _SCARCE_S
            yield from slots_due(account, self._process, self._share)

    def _swept(self, account: Account, now: float) -> Iterator[Lease]:
        if account.in_flight or now - account.at < IDLE_S:
            yield from slots_due(account, self._process, self._share)
            yield from windows_kept(account)
        else:
            del self._active[account]
            yield from self._back(account)

    def _back(self, account: Account) -> Iterator[Lease]:
        yield from tokens_back(account)
        yield from windows_back(account)
        yield from slots_back(account, self._process, self._share)

    async def _settle(self, leases: Sequence[Lease]) -> None:
        for start in range(0, len(leases), _MOST_CALLS):
            some = leases[start : start + _MOST_CALLS]
            replies = await self._link.evaluate([lease.call(self._prefix) for lease in some])
            now = self._monotonic()
            for lease, reply in zip(some, replies, strict=True):
                lease.settle(reply, now)

    async def _look_at_memory(self) -> None:
        """Redis that forgot everything is told how much of each hour and day was taken, by whoever has heard it."""
        (memory,) = await self._link.evaluate([(MEMORY, f"{self._prefix}:memory", ())])
        if memory != self._memory and self._memory:
            log.warning("quota_forgotten", accounts=len(self._accounts))
            for account in self._accounts:
                if account.allowance is not None:
                    account.allowance.unsettle()
                    self.need(account)
        self._memory = memory

    async def _probe(self) -> None:
        """Whether Redis runs scripts and lets them write."""
        await self._link.evaluate([(LEASE_TOKENS, f"{self._prefix}:probe", (1, 1, 0, 0))])
        self._found()

    def _found(self) -> None:
        self.shared = True
        self._sweep_at = self._monotonic()
        for account in self._accounts:
            account.refill_by_lease(self._share, self._monotonic())
            if account.allowance is not None:
                self.need(account)  # what it spent alone is settled even if it sends no more
        metrics.QUOTA_SHARED.set(1)
        log.info("quota_shared", processes=round(1 / self._share))

    def _go_alone(self, account: Account) -> None:
        account.refill_alone(self._share, shut=self._rates_shut, windows_shut=self._windows_shut)

    def _lost(self, error: Exception) -> None:
        self.shared = False
        self._needy.clear()
        self._active.clear()
        for account in self._accounts:
            self._go_alone(account)
        metrics.QUOTA_SHARED.set(0)
        log.warning("quota_not_shared", share=self._share, cause=repr(error))
