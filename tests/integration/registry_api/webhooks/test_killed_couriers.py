# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed in the middle of deliveries lose none of them, and repeat one only under its id."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from core.clock import ManualClock
from registry_api.webhooks.addresses import AddressPolicy
from registry_api.webhooks.deliveries.courier import Courier, CourierOptions
from registry_api.webhooks.deliveries.sending import Sender
from registry_api.webhooks.outbox import emit
from registry_api.webhooks.secrets import SecretKeeper
from registry_api.webhooks.service import WebhookService
from registry_api.webhooks.testing import Receiver, open_receiver
from tests.integration.registry_api.rest import Api

PROGRAM = Path(__file__).with_name("courier_program.py")
ROOT = Path(__file__).resolve().parents[4]
HERE = AddressPolicy(http=True, ports=frozenset(), loopback=True)
SEED = 20_260_101
EVENTS, KILLS = 40, 3


def start(api: Api) -> subprocess.Popen[bytes]:
    """A courier process on the registry of ``api``."""
    settings = api.platform.settings
    environment = {
        "FUROSHIKI_HOME": str(settings.home),
        "PYTHONPATH": str(ROOT),
    }
    if settings.database.url is not None:
        environment["FUROSHIKI_DATABASE__URL"] = settings.database.url
        environment["FUROSHIKI_DATABASE__OWNER_URL"] = str(settings.database.owner_url)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    return subprocess.Popen([sys.executable, str(PROGRAM)], env=clean | environment, stdout=subprocess.DEVNULL)


async def arrived(receiver: Receiver, count: int) -> None:
    """Waits until so many messages arrived."""
    async with asyncio.timeout(30):
        while len(receiver.messages) < count:
            await asyncio.sleep(0.01)


async def webhook(api: Api, receiver: Receiver) -> tuple[str, dict[str, str]]:
    """A webhook of the default tenant for the receiver: its path, and headers of its owner."""
    api.services.get(WebhookService)._policy = HERE
    mine = {"X-API-Key": await api.key("tenant-admin")}
    made = await api.ok("POST", "/webhooks", json={"url": receiver.url, "kinds": ["alias.moved"]}, headers=mine)
    return f"/webhooks/{made['id']}/deliveries", mine


async def tell(api: Api, count: int) -> None:
    for number in range(count):
        async with api.platform.db.write("default") as session:
            subject = f"m{number % 8}@x"
            await emit(
                session, tenant="default", kind="alias.moved", subject=subject, old=None, new={"n": number}, actor="me"
            )


async def another(api: Api) -> Courier:
    """Another worker, for which the time of the leases has passed."""
    clock = ManualClock(api.platform.clock.now())
    sender = Sender(HERE, clock, timeout_seconds=20, response_bytes=64)
    options = CourierOptions(timeout_seconds=20)
    other = Courier(api.platform.db, clock, sender, SecretKeeper(), options=options)
    await other.take_over()
    clock.advance(options.lease_seconds)
    await other.take_over()
    return other


@pytest.mark.fault("kill -9 of the worker while webhooks are sent")
async def test_a_worker_killed_between_sending_and_recording_repeats_the_id(api: Api) -> None:
    """The receiver has the message, the registry does not know it: it is sent again, as the same message."""
    async with open_receiver() as receiver:
        path, mine = await webhook(api, receiver)
        receiver.hold.clear()
        await tell(api, 1)
        process = start(api)
        try:
            await arrived(receiver, 1)
        finally:
            process.kill()
            process.wait()
        receiver.hold.set()
        [delivery] = (await api.ok("GET", path, headers=mine))["items"]
        assert (delivery["state"], delivery["attempts"]) == ("pending", 1)
        await (await another(api)).deliver_due()
        [delivery] = (await api.ok("GET", path, headers=mine))["items"]
        assert (delivery["state"], delivery["attempts"]) == ("delivered", 2)
        assert receiver.messages[0].id == receiver.messages[1].id == delivery["event"]


@pytest.mark.fault("kill -9 of the worker while webhooks are sent")
async def test_workers_killed_at_random_lose_nothing(api: Api) -> None:
    """Kills at random moments of forty deliveries: all arrive, each subject in order, repeats under their ids."""
    chance = random.Random(SEED)
    async with open_receiver() as receiver:
        path, mine = await webhook(api, receiver)
        await tell(api, EVENTS)
        for kill in range(1, KILLS + 1):
            process = start(api)
            try:
                await arrived(receiver, len(receiver.messages) + 1)
                await asyncio.sleep(chance.uniform(0, 0.05) * kill)
            finally:
                process.kill()
                process.wait()
            await another(api)
        await (await another(api)).deliver_due()
        listed = (await api.ok("GET", f"{path}?limit=200", headers=mine))["items"]
        assert {item["state"] for item in listed} == {"delivered"}
        assert {message.id for message in receiver.messages} == {item["event"] for item in listed}
        assert len(listed) == EVENTS
        order = {item["event"]: place for place, item in enumerate(reversed(listed))}
        for subject in {message.subject for message in receiver.messages}:
            places = [order[message.id] for message in receiver.messages if message.subject == subject]
            assert places == sorted(places)
