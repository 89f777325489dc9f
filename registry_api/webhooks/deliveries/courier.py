# SPDX-License-Identifier: Apache-2.0
"""Takes deliveries out of the database and brings them to their receivers.

Guarantees. At least once: what a killed worker was sending is sent again, with the same id. Never twice at the same time:
a delivery is sent under a lease. In order within one subject of one webhook, also while an earlier delivery is retried;
not between subjects, and not after a delivery that is dead. Any number of couriers may share a database.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import uuid4

from core.clock import Clock
from core.errors import FuroshikiError, TransientError
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.webhooks.deliveries.leases import LeaseWatch
from registry_api.webhooks.deliveries.repository import Claimed, DeliveryRepository
from registry_api.webhooks.deliveries.schedule import pause
from registry_api.webhooks.deliveries.sending import Outcome, Sender
from registry_api.webhooks.deliveries.signing import body_of, headers_of
from registry_api.webhooks.secrets import SecretKeeper
from registry_api.webhooks.values import DeliveryAttempt, DeliveryState

_RECORD_SECONDS: Final = 20.0  # beyond an attempt's time limit; then its lease counts as lost
_HOUR: Final = 3600.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierOptions:
    """How deliveries are made."""

    concurrent: int = 16  # under way at a time in this process
    per_webhook: int = 4  # of one webhook at a time, in all processes; a slow receiver holds up no others
    timeout_seconds: float = 10.0  # of one attempt
    retry_hours: float = 24.0  # all pauses of one delivery together
    disable_hours: float = 120.0  # of failures without a success, after which a webhook is switched off
    poll_seconds: float = 1.0  # between two looks for work when there was none

    @property
    def lease_seconds(self) -> float:
        """After which a lease that does not change is lost."""
        return self.timeout_seconds + _RECORD_SECONDS


class Courier:
    """Delivers.

    Args:
        db: Where deliveries are.
        clock: For due times, records and the watch over leases.
        sender: Sends.
        keeper: Reveals secrets.
        options: See :class:`CourierOptions`.
        chance: Of [0, 1), for pauses.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        sender: Sender,
        keeper: SecretKeeper,
        *,
        options: CourierOptions,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._clock = clock
        self._sender = sender
        self._keeper = keeper
        self._options = options
        self._chance = chance
        self._watch = LeaseWatch(options.lease_seconds)
        self._next_look = clock.monotonic()
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Delivers until it is cancelled; what is under way then may end."""
        try:
            while True:
                try:
                    found = await self._take()
                except TransientError as error:  # the database may be away for a while
                    _log.warning("claim_of_delivery_failed", code=error.code, **error.log_context)
                    found = False
                if not found:
                    await asyncio.sleep(self._options.poll_seconds)
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._options.timeout_seconds)

    async def deliver_due(self) -> int:
        """Delivers everything that is due now, one after the other; how many attempts that took."""
        await self.take_over()
        attempts = 0
        while (claimed := await self._claim()) is not None:
            await self._bring(claimed)
            attempts += 1
        return attempts

    async def take_over(self) -> None:
        """Frees what workers held that are gone."""
        async with self._db.read(EVERY_TENANT) as session:
            held = await DeliveryRepository(session).held()
        lost = self._watch.lost(held, self._clock.monotonic())
        if lost:
            async with self._db.write(EVERY_TENANT) as session:
                for number, token in lost.items():
                    await DeliveryRepository(session).release(number, token)
            _log.warning("deliveries_taken_over", count=len(lost))

    async def _take(self) -> bool:
        """Starts one delivery if there is one and room for it."""
        if len(self._under_way) >= self._options.concurrent:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        if self._clock.monotonic() >= self._next_look:
            self._next_look = self._clock.monotonic() + self._options.lease_seconds / 4
            await self.take_over()
        claimed = await self._claim()
        if claimed is None:
            return False
        task = asyncio.create_task(self._bring(claimed), name=f"delivery-{claimed.number}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return True

    async def _claim(self) -> Claimed | None:
        async with self._db.write(EVERY_TENANT) as session:
            return await DeliveryRepository(session).claim(
                token=uuid4().hex, now=self._clock.now(), per_webhook=self._options.per_webhook
            )

    async def _bring(self, claimed: Claimed) -> None:
        try:
            outcome = await self._attempt(claimed)
            await self._record(claimed, outcome)
        except TransientError as error:  # not recorded: the lease is lost in a while and the delivery sent again
            _log.warning("delivery_not_recorded", delivery=claimed.number, code=error.code, **error.log_context)
        except Exception:
            _log.exception("delivery_crashed", delivery=claimed.number)

    async def _attempt(self, claimed: Claimed) -> Outcome:
        event = claimed.event
        try:
            secret = await self._keeper.reveal(event.tenant, claimed.secret)
        except FuroshikiError as error:
            return Outcome(milliseconds=0, status=None, error=f"the secret cannot be read: {error.code}", response=None)
        body = body_of(event)
        timestamp = int(self._clock.now().timestamp())
        headers = headers_of(event, body, secret=secret, timestamp=timestamp)
        return await self._sender.send(claimed.url, headers, body)

    async def _record(self, claimed: Claimed, outcome: Outcome) -> None:
        now = self._clock.now()
        attempt = DeliveryAttempt(
            at=now,
            milliseconds=outcome.milliseconds,
            status=outcome.status,
            error=outcome.error,
            response=outcome.response,
        )
        state, wait = self._next(claimed, outcome)
        due_at = None if wait is None else now + timedelta(seconds=wait)
        async with self._db.write(EVERY_TENANT) as session:
            deliveries = DeliveryRepository(session)
            if not await deliveries.settle(claimed, attempt, state=state, due_at=due_at):
                return
            if outcome.error is None:
                await deliveries.receiver_works(claimed.webhook)
            else:
                await self._note_failure(deliveries, claimed, outcome)
        _log.info("delivery", number=claimed.number, webhook=claimed.webhook, state=state, status=outcome.status)

    def _next(self, claimed: Claimed, outcome: Outcome) -> tuple[DeliveryState, float | None]:
        if outcome.error is None:
            return DeliveryState.DELIVERED, None
        limit = self._options.retry_hours * _HOUR
        wait = None if outcome.gone else pause(claimed.attempts, limit_seconds=limit, chance=self._chance())
        return (DeliveryState.DEAD if wait is None else DeliveryState.PENDING), wait

    async def _note_failure(self, deliveries: DeliveryRepository, claimed: Claimed, outcome: Outcome) -> None:
        now = self._clock.now()
        since = await deliveries.receiver_fails(claimed.webhook, now)
        if outcome.gone:
            await deliveries.disable(claimed.webhook, "the receiver answered 410 Gone")
        elif now - since >= timedelta(hours=self._options.disable_hours):
            await deliveries.disable(claimed.webhook, f"no success for {self._options.disable_hours:g} hours")
