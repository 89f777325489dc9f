# SPDX-License-Identifier: Apache-2.0
"""Deliveries on a real SQLite to a real receiver: at least once, in order, never twice at a time, given up in the end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.clock import ManualClock
from registry_api.db.session import Database
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.http.pagination import PageRequest
from registry_api.webhooks.addresses import AddressPolicy
from registry_api.webhooks.deliveries.courier import Courier, CourierOptions
from registry_api.webhooks.deliveries.sending import Sender
from registry_api.webhooks.outbox import emit
from registry_api.webhooks.secrets import SecretKeeper
from registry_api.webhooks.service import WebhookService
from registry_api.webhooks.testing import CUT, FAILED, GONE, Receiver
from registry_api.webhooks.values import Delivery, DeliveryState, EventKind, WebhookWish

ME = Principal(tenant="acme", key_id="k", name="me", roles=frozenset({Role.TENANT_ADMIN}))
HERE = AddressPolicy(http=True, ports=frozenset(), loopback=True)
HOUR = 3600.0
PENDING, DELIVERED, DEAD = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.DEAD


class SetBack(ManualClock):
    """A clock whose wall time can be set."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = timedelta()

    def now(self) -> datetime:
        return super().now() + self.offset


class Setting:
    def __init__(self, db: Database, clock: ManualClock, url: str) -> None:
        self.db, self.clock, self.url = db, clock, url
        self.keeper = SecretKeeper()
        self.service = WebhookService(db, clock, self.keeper, policy=HERE, per_tenant=3)
        self.courier = self.new_courier()

    def new_courier(self, *, timeout_seconds: float = 20) -> Courier:
        options = CourierOptions(
            timeout_seconds=timeout_seconds, retry_hours=1, disable_hours=2, poll_seconds=0.01, per_webhook=2
        )
        sender = Sender(HERE, self.clock, timeout_seconds=timeout_seconds, response_bytes=64)
        return Courier(self.db, self.clock, sender, self.keeper, options=options, chance=lambda: 0.0)

    async def webhook(self, *kinds: EventKind, models: frozenset[str] = frozenset()) -> str:
        wish = WebhookWish(url=self.url, kinds=frozenset(kinds), models=models)
        return (await self.service.create(ME, wish)).webhook.id

    async def tell(self, subject: str = "digits@1", kind: EventKind = EventKind.VERSION_REGISTERED) -> None:
        async with self.db.write("acme") as session:
            await emit(session, tenant="acme", kind=kind, subject=subject, old=None, new={"version": 1}, actor="me")

    async def deliveries(self, webhook: str) -> list[Delivery]:
        listed = await self.service.deliveries("acme", webhook, PageRequest(limit=100))
        return list(reversed(listed.items))

    async def states(self, webhook: str) -> list[DeliveryState]:
        return [delivery.state for delivery in await self.deliveries(webhook)]


@pytest.fixture
def clock() -> SetBack:
    return SetBack()


@pytest.fixture
def setting(database: Database, clock: SetBack, receiver: Receiver) -> Setting:
    return Setting(database, clock, receiver.url)


async def test_an_event_arrives_once(setting: Setting, receiver: Receiver) -> None:
    """What was told and committed arrives, and not again."""
    webhook = await setting.webhook()
    await setting.tell()
    assert await setting.courier.deliver_due() == 1
    assert await setting.courier.deliver_due() == 0
    [message] = receiver.messages
    [delivery] = await setting.deliveries(webhook)
    assert (delivery.state, delivery.event.id) == (DELIVERED, message.id)


async def test_what_was_rolled_back_is_not_told(setting: Setting, receiver: Receiver) -> None:
    """The event shares the fate of its transaction."""
    await setting.webhook()

    async def change() -> None:
        async with setting.db.write("acme") as session:
            await emit(session, tenant="acme", kind="model.created", subject="m", old=None, new={}, actor="me")
            raise RuntimeError("the change failed")

    with pytest.raises(RuntimeError):
        await change()
    assert await setting.courier.deliver_due() == 0
    assert receiver.messages == []


async def test_filters_choose(setting: Setting, receiver: Receiver) -> None:
    """Kinds and models each narrow what is told; other tenants hear nothing."""
    await setting.webhook(EventKind.ALIAS_MOVED, models=frozenset({"digits"}))
    await setting.tell("digits@champion", EventKind.ALIAS_MOVED)
    await setting.tell("digits@1", EventKind.VERSION_REGISTERED)
    await setting.tell("other@champion", EventKind.ALIAS_MOVED)
    async with setting.db.write("evil") as session:
        await emit(session, tenant="evil", kind="alias.moved", subject="digits@x", old=None, new=None, actor="you")
    assert await setting.courier.deliver_due() == 1
    assert [message.subject for message in receiver.messages] == ["digits@champion"]


async def test_a_failure_is_tried_again_with_the_same_id(setting: Setting, receiver: Receiver, clock: SetBack) -> None:
    """Not before its pause, then with the id it had, and its log holds every attempt."""
    webhook = await setting.webhook()
    receiver.answers.extend([FAILED, CUT])
    await setting.tell()
    assert await setting.courier.deliver_due() == 1
    assert await setting.courier.deliver_due() == 0
    clock.advance(5)
    assert await setting.courier.deliver_due() == 1
    clock.advance(10)
    assert await setting.courier.deliver_due() == 1
    assert len({message.id for message in receiver.messages}) == 1
    [delivery] = await setting.deliveries(webhook)
    report = await setting.service.delivery("acme", webhook, delivery.id)
    assert [attempt.status for attempt in report.attempts] == [500, None, 200]
    assert (report.attempts[0].error, report.attempts[0].response) == ("answered 500", "busy")
    assert report.attempts[2].error is None
    assert (await setting.service.get("acme", webhook)).failing_since is None


async def test_one_subject_is_told_in_order(setting: Setting, receiver: Receiver, clock: SetBack) -> None:
    """While an earlier event of a subject is retried, later ones wait; other subjects do not."""
    await setting.webhook()
    receiver.answers.append(FAILED)
    for subject in ("a@1", "a@1", "b@1"):
        await setting.tell(subject)
    await setting.courier.deliver_due()
    clock.advance(5)
    await setting.courier.deliver_due()
    assert [message.subject for message in receiver.messages] == ["a@1", "b@1", "a@1", "a@1"]
    first, _b, again, second = receiver.messages
    assert first.id == again.id != second.id


async def test_a_delivery_dies_and_can_be_asked_for_again(setting: Setting, receiver: Receiver, clock: SetBack) -> None:
    """After the retries it is dead; a redelivery starts over with the same id."""
    webhook = await setting.webhook()
    receiver.otherwise = FAILED
    await setting.tell()
    await setting.courier.deliver_due()
    [delivery] = await setting.deliveries(webhook)
    while delivery.due_at is not None:
        clock.advance((delivery.due_at - clock.now()).total_seconds())
        await setting.courier.deliver_due()
        [delivery] = await setting.deliveries(webhook)
    assert (delivery.state, delivery.attempts) == (DEAD, 10)
    receiver.otherwise = b"HTTP/1.1 204 No Content\r\n\r\n"
    again = await setting.service.redeliver("acme", webhook, delivery.id)
    assert (again.state, again.attempts) == (PENDING, 0)
    assert await setting.courier.deliver_due() == 1
    assert await setting.states(webhook) == [DELIVERED]
    assert len({message.id for message in receiver.messages}) == 1


async def test_a_webhook_that_fails_for_long_is_switched_off(
    setting: Setting, receiver: Receiver, clock: SetBack
) -> None:
    """With the reason on it; what is open waits until it is switched on, and new events are not noted for it."""
    webhook = await setting.webhook()
    receiver.otherwise = FAILED
    await setting.tell("a@1")
    await setting.courier.deliver_due()
    clock.advance(2 * HOUR)
    await setting.courier.deliver_due()
    found = await setting.service.get("acme", webhook)
    assert (found.enabled, found.disabled_reason) == (False, "no success for 2 hours")
    await setting.tell("b@1")
    clock.advance(HOUR)
    assert await setting.courier.deliver_due() == 0
    receiver.otherwise = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    await setting.service.change("acme", webhook, {"enabled": True})
    assert await setting.courier.deliver_due() == 1
    assert await setting.states(webhook) == [DELIVERED]


async def test_410_switches_a_webhook_off_at_once(setting: Setting, receiver: Receiver) -> None:
    """The receiver said that it wants nothing more."""
    webhook = await setting.webhook()
    receiver.otherwise = GONE
    await setting.tell()
    await setting.courier.deliver_due()
    assert await setting.states(webhook) == [DEAD]
    assert not (await setting.service.get("acme", webhook)).enabled


async def test_what_a_dead_worker_was_sending_is_sent_again(
    setting: Setting, receiver: Receiver, clock: SetBack
) -> None:
    """A worker that sent and did not record loses its lease by the watch of another, and the id stays the same."""
    webhook = await setting.webhook()
    await setting.tell()
    dead = setting.new_courier()
    claimed = await dead._claim()
    assert claimed is not None
    await dead._attempt(claimed)
    assert await setting.courier.deliver_due() == 0
    clock.advance(CourierOptions(timeout_seconds=20).lease_seconds)
    assert await setting.courier.deliver_due() == 1
    first, second = receiver.messages
    assert first.id == second.id
    await dead._record(claimed, await setting.new_courier()._attempt(claimed))
    [delivery] = await setting.deliveries(webhook)
    report = await setting.service.delivery("acme", webhook, delivery.id)
    assert len(report.attempts) == 1, "what the dead worker records later counts for nothing"


async def test_many_couriers_send_nothing_twice(setting: Setting, receiver: Receiver) -> None:
    """Eight couriers on one database: every event once, at most so many at a time."""
    await setting.webhook()
    for number in range(24):
        await setting.tell(f"m{number}@1")
    await asyncio.gather(*(setting.new_courier().deliver_due() for _ in range(8)))
    assert len(receiver.messages) == 24
    assert len({message.id for message in receiver.messages}) == 24
    assert receiver.most_under_way <= 2


async def test_a_slow_receiver_is_a_failure_in_time(setting: Setting, receiver: Receiver) -> None:
    """An answer that does not come within the limit fails the attempt."""
    webhook = await setting.webhook()
    receiver.hold.clear()
    await setting.tell()
    await setting.new_courier(timeout_seconds=0.3).deliver_due()
    [delivery] = await setting.deliveries(webhook)
    report = await setting.service.delivery("acme", webhook, delivery.id)
    assert (delivery.state, report.attempts[0].error) == (PENDING, "no complete answer within 0.3 s")


async def test_a_clock_set_back_neither_stalls_nor_repeats(
    setting: Setting, receiver: Receiver, clock: SetBack
) -> None:
    """An hour back: a retry that was due stays due, new events go out, nothing is sent twice."""
    webhook = await setting.webhook()
    receiver.answers.append(FAILED)
    await setting.tell("a@1")
    await setting.courier.deliver_due()
    clock.offset -= timedelta(hours=1)
    await setting.tell("b@1")
    assert await setting.courier.deliver_due() == 2
    assert await setting.courier.deliver_due() == 0
    assert await setting.states(webhook) == [DELIVERED, DELIVERED]
    assert [message.subject for message in receiver.messages] == ["a@1", "a@1", "b@1"]


async def test_the_running_courier_delivers_and_ends(setting: Setting, receiver: Receiver) -> None:
    """The loop of the worker finds new events by itself; cancelled, it lets what is under way end."""
    webhook = await setting.webhook()
    running = asyncio.create_task(setting.courier.run())
    receiver.hold.clear()
    await setting.tell()
    async with asyncio.timeout(5):
        while not receiver.messages:
            await asyncio.sleep(0)
    running.cancel()
    receiver.hold.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await setting.states(webhook) == [DELIVERED]


async def test_the_moment_of_an_event_is_its_own(setting: Setting) -> None:
    """``at`` is told as given; without it the event is of now."""
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    webhook = await setting.webhook()
    async with setting.db.write("acme") as session:
        await emit(session, tenant="acme", kind="model.created", subject="m", old=None, new=None, actor="me", at=moment)
    [delivery] = await setting.deliveries(webhook)
    assert delivery.event.at == moment
