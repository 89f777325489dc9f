# SPDX-License-Identifier: Apache-2.0
"""Webhooks over HTTP: the secret is shown once, URLs that lead inside are refused, deliveries can be followed."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

import orjson
import pytest

from core.clock import SystemClock
from registry_api.webhooks.addresses import AddressPolicy
from registry_api.webhooks.deliveries.courier import Courier, CourierOptions
from registry_api.webhooks.deliveries.sending import Sender
from registry_api.webhooks.deliveries.signing import signature
from registry_api.webhooks.outbox import emit
from registry_api.webhooks.retention import sweep_deliveries
from registry_api.webhooks.secrets import SecretKeeper, shown
from registry_api.webhooks.service import WebhookService
from registry_api.webhooks.testing import FAILED, open_receiver
from tests.integration.registry_api.rest import Api, tiny_onnx

HERE = AddressPolicy(http=True, ports=frozenset(), loopback=True)


class Later(SystemClock):
    """A clock that is ahead."""

    def __init__(self, days: float) -> None:
        self._ahead = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._ahead


@pytest.fixture
async def allowing(api: Api) -> Api:
    """A registry that may send to this machine."""
    api.services.get(WebhookService)._policy = HERE
    return api


def courier(api: Api) -> Courier:
    clock = api.platform.clock
    sender = Sender(HERE, clock, timeout_seconds=20, response_bytes=64)
    return Courier(api.platform.db, clock, sender, SecretKeeper(), options=CourierOptions(timeout_seconds=20))


async def admin(api: Api, tenant: str = "default") -> dict[str, str]:
    return {"X-API-Key": await api.key("tenant-admin", tenant=tenant)}


async def tell(api: Api, subject: str = "digits@1", tenant: str = "default") -> None:
    async with api.platform.db.write(tenant) as session:
        await emit(session, tenant=tenant, kind="alias.moved", subject=subject, old=None, new={"v": 1}, actor="me")


async def test_the_life_of_a_webhook(allowing: Api) -> None:
    """Made, listed, changed, switched off and on, removed; the secret is in the first answer only."""
    mine = await admin(allowing)
    async with open_receiver() as receiver:
        body = {"url": receiver.url, "description": "CI", "kinds": ["alias.moved"], "models": ["digits"]}
        made = await allowing.ok("POST", "/webhooks", json=body, headers=mine)
        assert made.pop("secret").startswith("whsec_")
        path = f"/webhooks/{made['id']}"
        assert await allowing.ok("GET", path, headers=mine) == made
        assert (await allowing.ok("GET", "/webhooks", headers=mine))["items"] == [made]
        changed = await allowing.ok("PATCH", path, json={"enabled": False, "kinds": []}, headers=mine)
        assert changed == {**made, "enabled": False, "kinds": []}
        assert await allowing.refused("POST", f"{path}/test", headers=mine) == (409, "STATE_001")
        assert await allowing.ok("PATCH", path, json={"enabled": True}, headers=mine) == {**made, "kinds": []}
        assert await allowing.ok("PATCH", path, json={}, headers=mine) == {**made, "kinds": []}
        await allowing.ok("DELETE", path, headers=mine)
        assert await allowing.refused("GET", path, headers=mine) == (404, "WEBHOOK_001")
        assert await allowing.refused("DELETE", path, headers=mine) == (404, "WEBHOOK_001")


async def test_a_test_arrives_signed_with_the_secret_that_was_shown(allowing: Api) -> None:
    """Whatever the filters; the log of the delivery says how it went."""
    mine = await admin(allowing)
    async with open_receiver() as receiver:
        body = {"url": receiver.url, "models": ["digits"]}
        made = await allowing.ok("POST", "/webhooks", json=body, headers=mine)
        path = f"/webhooks/{made['id']}"
        delivery = await allowing.ok("POST", f"{path}/test", headers=mine)
        assert (delivery["state"], delivery["kind"]) == ("pending", "webhook.test")
        assert await courier(allowing).deliver_due() == 1
        [message] = receiver.messages
        assert message.id == delivery["event"]
        secret = base64.b64decode(made["secret"].removeprefix("whsec_"))
        stamp = int(message.headers["webhook-timestamp"])
        assert message.headers["webhook-signature"] == signature(message.id, stamp, message.body, secret)
        report = await allowing.ok("GET", f"{path}/deliveries/{delivery['id']}", headers=mine)
        assert (report["state"], [entry["status"] for entry in report["log"]]) == ("delivered", [200])


async def test_deliveries_are_listed_filtered_and_sent_again(allowing: Api) -> None:
    """Newest first, by state; sent again with the same id."""
    mine = await admin(allowing)
    async with open_receiver() as receiver:
        made = await allowing.ok("POST", "/webhooks", json={"url": receiver.url}, headers=mine)
        path = f"/webhooks/{made['id']}"
        receiver.answers.append(FAILED)
        await tell(allowing, "a@x")
        await tell(allowing, "b@x")
        assert await courier(allowing).deliver_due() == 2
        listed = (await allowing.ok("GET", f"{path}/deliveries", headers=mine))["items"]
        assert [(item["subject"], item["state"]) for item in listed] == [("b@x", "delivered"), ("a@x", "pending")]
        [waiting] = (await allowing.ok("GET", f"{path}/deliveries?state=pending", headers=mine))["items"]
        again = f"{path}/deliveries/{waiting['id']}/redeliver"
        assert (await allowing.ok("POST", again, headers=mine))["due_at"] is None
        assert await courier(allowing).deliver_due() == 1
        assert receiver.messages[0].id == receiver.messages[2].id
        page = await allowing.ok("GET", f"{path}/deliveries?limit=1", headers=mine)
        rest = await allowing.ok("GET", f"{path}/deliveries?limit=1&cursor={page['next_cursor']}", headers=mine)
        assert [page["items"][0]["subject"], rest["items"][0]["subject"]] == ["b@x", "a@x"]


async def test_other_tenants_see_nothing(allowing: Api) -> None:
    """Neither webhooks nor deliveries, by any route; and their changes are not told."""
    await allowing.ok("POST", "/tenants", json={"name": "other"})
    mine, theirs = await admin(allowing), await admin(allowing, "other")
    async with open_receiver() as receiver:
        made = await allowing.ok("POST", "/webhooks", json={"url": receiver.url}, headers=mine)
        path = f"/webhooks/{made['id']}"
        await tell(allowing, tenant="other")
        await tell(allowing)
        assert await courier(allowing).deliver_due() == 1
        [delivery] = (await allowing.ok("GET", f"{path}/deliveries", headers=mine))["items"]
        one = f"{path}/deliveries/{delivery['id']}"
        assert (await allowing.ok("GET", "/webhooks", headers=theirs))["items"] == []
        for method, route in (
            ("GET", path),
            ("DELETE", path),
            ("POST", f"{path}/test"),
            ("GET", f"{path}/deliveries"),
            ("GET", one),
            ("POST", f"{one}/redeliver"),
        ):
            assert await allowing.refused(method, route, headers=theirs) == (404, "WEBHOOK_001")
        refused = await allowing.refused("PATCH", path, json={"enabled": False}, headers=theirs)
        assert refused == (404, "WEBHOOK_001")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1]/",
        "https://2130706433/",
        "https://1.1.1.1:22/",
        "https://me:you@1.1.1.1/",
    ],
)
async def test_urls_that_lead_inside_are_refused(api: Api, url: str) -> None:
    """At creation and at every change, with a sentence that says why."""
    mine = await admin(api)
    assert await api.refused("POST", "/webhooks", json={"url": url}, headers=mine) == (422, "VALID_002")
    made = await api.ok("POST", "/webhooks", json={"url": "https://1.1.1.1/"}, headers=mine)
    refused = await api.refused("PATCH", f"/webhooks/{made['id']}", json={"url": url}, headers=mine)
    assert refused == (422, "VALID_002")


async def test_a_tenant_has_so_many_webhooks(allowing: Api) -> None:
    """More are refused; removing one makes room."""
    mine = await admin(allowing)
    allowing.services.get(WebhookService)._per_tenant = 1
    body = {"url": "https://1.1.1.1/"}
    made = await allowing.ok("POST", "/webhooks", json=body, headers=mine)
    assert await allowing.refused("POST", "/webhooks", json=body, headers=mine) == (429, "QUOTA_001")
    await allowing.ok("DELETE", f"/webhooks/{made['id']}", headers=mine)
    await allowing.ok("POST", "/webhooks", json=body, headers=mine)


async def test_what_ended_long_ago_is_removed(allowing: Api) -> None:
    """With its attempts and event; what is open stays however old it is."""
    mine = await admin(allowing)
    async with open_receiver() as receiver:
        made = await allowing.ok("POST", "/webhooks", json={"url": receiver.url}, headers=mine)
        receiver.answers.append(FAILED)
        await tell(allowing, "a@x")
        await tell(allowing, "b@x")
        await courier(allowing).deliver_due()
        db = allowing.platform.db
        assert await sweep_deliveries(db, SystemClock(), kept_days=30) == 0
        assert await sweep_deliveries(db, Later(31), kept_days=30) >= 2
        left = (await allowing.ok("GET", f"/webhooks/{made['id']}/deliveries", headers=mine))["items"]
        assert [item["subject"] for item in left] == ["a@x"]


def test_a_secret_is_shown_as_the_specification_says() -> None:
    """``whsec_`` and base64."""
    assert shown(b"\x00" * 32) == "whsec_" + "A" * 43 + "="


async def test_a_push_is_told(allowing: Api) -> None:
    """The registration of a version arrives with what it is, and before it the model."""
    mine = await admin(allowing)
    async with open_receiver() as receiver:
        body = {"url": receiver.url, "models": ["digits"]}
        await allowing.ok("POST", "/webhooks", json=body, headers=mine)
        await allowing.ok("POST", "/models", json={"name": "digits"})
        version = await allowing.push("digits", {"model.onnx": tiny_onnx()})
        await courier(allowing).deliver_due()
        told = [orjson.loads(message.body) for message in receiver.messages]
        assert [(event["type"], event["data"]["subject"]) for event in told] == [
            ("model.created", "digits"),
            ("version.registered", "digits@1"),
        ]
        new = told[-1]["data"]["new"]
        assert (new["version"], new["digest"], new["stage"]) == (1, version["digest"], version["stage"])
