# SPDX-License-Identifier: Apache-2.0
"""Limits that several processes share through Redis, without a round trip for a request.

The gate spends what an account holds. When it runs low, or slots are about to be used up, one task asks Redis beside the
requests, for all accounts that need something in one round trip, at most every ``_PAUSE_S``. See ADR 0009 for what the
processes together may let pass beyond a limit.

When Redis does not answer, every process goes on with its share of each tenant's limits (1 / processes), says so in the log
and in ``furoshiki_quota_shared``, and tries again with growing pauses; then leases go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, Final
from weakref import WeakSet

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core.clock import Clock
from core.telemetry import metrics
from core.telemetry.logs import get_logger
from services.dataplane.quota.account import Account
from services.dataplane.quota.leases import (
    IDLE_S,
    SLOTS_LIFETIME_S,
    Call,
    Lease,
    slots_back,
    slots_due,
    tokens_back,
    tokens_due,
)
from services.dataplane.quota.script import LEASE_TOKENS

_PAUSE_S: Final = 0.01  # between two round trips
_SWEEP_S: Final = SLOTS_LIFETIME_S / 4  # between two looks at all accounts: renewals, and what idle ones hand back
_SCARCE_S: Final = 0.1  # before slots that were not to be had are asked for again
_FIRST_RETRY_S: Final = 0.25
_LONGEST_RETRY_S: Final = 5.0
_MOST_CALLS: Final = 500  # in one round trip

log = get_logger(__name__)


class SharedThroughRedis:
    """Implements :class:`services.dataplane.quota.interface.Sharing` with leases.

    Args:
        url: ``redis://`` or ``rediss://``, with password and database if there are any.
        processes: How many processes the tenants' requests are spread over.
        prefix: Of all keys.
        timeout_s: Redis counts as away if it does not answer within.
        clock: The gate's.
    """

    def __init__(self, url: str, *, processes: int, prefix: str, timeout_s: float, clock: Clock) -> None:
        self._redis = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            decode_responses=True,
        )
        self._share = 1.0 / processes
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._monotonic = clock.monotonic
        self._process = uuid.uuid4().hex
        self._accounts: WeakSet[Account] = WeakSet()  # the gate may forget any of them
        self._needy: dict[Account, None] = {}
        self._active: dict[Account, float] = {}  # may hold a lease: when its slots may be asked for again
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sweep_at = 0.0
        self._found_at = -math.inf
        self._closing = False
        self.shared = False

    def join(self, account: Account) -> None:
        self._accounts.add(account)
        if self.shared:
            account.refill_by_lease(self._share, self._monotonic())
        else:
            account.refill_alone(self._share)

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
        await self._redis.aclose()

    async def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._closing:
            if self.shared:
                await self._try(self._pass())
                await asyncio.sleep(_PAUSE_S)
                if not self._needy:
                    await self._woken(self._sweep_at - self._monotonic())
            else:
                steady = self._monotonic() - self._found_at > _LONGEST_RETRY_S
                retry_s = _FIRST_RETRY_S if steady else min(2 * retry_s, _LONGEST_RETRY_S)
                await self._woken(retry_s)
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
            leases += [lease for account in set(self._active) - set(needy) for lease in self._swept(account, now)]
        await self._settle(leases)
        for account in needy:
            account.asking = False

    def _needed(self, account: Account, now: float) -> Iterator[Lease]:
        yield from tokens_due(account, now)
        if account.in_flight >= account.slots_low and now >= self._active[account]:
            self._active[account] = now + _SCARCE_S
            yield from slots_due(account, self._process, self._share)

    def _swept(self, account: Account, now: float) -> Iterator[Lease]:
        if account.in_flight or now - account.at < IDLE_S:
            yield from slots_due(account, self._process, self._share)
        else:
            del self._active[account]
            yield from self._back(account)

    def _back(self, account: Account) -> Iterator[Lease]:
        yield from tokens_back(account)
        yield from slots_back(account, self._process, self._share)

    async def _settle(self, leases: Sequence[Lease]) -> None:
        for start in range(0, len(leases), _MOST_CALLS):
            some = leases[start : start + _MOST_CALLS]
            replies = await self._evaluate([lease.call(self._prefix) for lease in some])
            now = self._monotonic()
            for lease, reply in zip(some, replies, strict=True):
                lease.settle(reply, now)

    async def _probe(self) -> None:
        """Whether Redis runs scripts and lets them write."""
        await self._evaluate([(LEASE_TOKENS, f"{self._prefix}:probe", (1, 1, 0, 0))])
        self._found()

    async def _evaluate(self, calls: Sequence[Call]) -> list[Any]:
        async with asyncio.timeout(self._timeout_s), self._redis.pipeline(transaction=False) as pipeline:
            for script, key, arguments in calls:
                pipeline.eval(script, 1, key, *arguments)
            return await pipeline.execute()

    def _found(self) -> None:
        self.shared = True
        self._found_at = self._sweep_at = self._monotonic()
        for account in self._accounts:
            account.refill_by_lease(self._share, self._monotonic())
        metrics.QUOTA_SHARED.set(1)
        log.info("quota_shared", processes=round(1 / self._share))

    def _lost(self, error: Exception) -> None:
        self.shared = False
        self._needy.clear()
        self._active.clear()
        for account in self._accounts:
            account.refill_alone(self._share)
        metrics.QUOTA_SHARED.set(0)
        log.warning("quota_not_shared", share=self._share, cause=repr(error))
