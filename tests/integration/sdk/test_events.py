# SPDX-License-Identifier: Apache-2.0
"""Webhooks, the request log and usage through the SDK and the command line, against the real registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import httpx
import pytest
from click.testing import CliRunner

from furoshiki import Client, InvalidRequest, NotFound
from furoshiki.cli import furo
from furoshiki.cli.app import App
from tests.integration.sdk.conftest import Registry


def run(registry: Registry, *words: str) -> str:
    """The output of ``furo`` with these words."""
    app = App(connect=partial(Client, registry.url, api_key=registry.admin_key))
    result = CliRunner().invoke(furo, list(words), obj=app)
    assert result.exit_code == 0, result.output
    return result.stdout


def log_one(registry: Registry, client: Client, model: str) -> None:
    """Delivers a logged request, as an inference service does."""
    key = client.keys.create("service", roles=["service"]).key
    now = datetime.now(UTC)
    entry = {"tenant": "default", "at": now.isoformat(), "model": model, "protocol": "rest_v2", "key_id": "k"}
    body = {"id": uuid4().hex, "requests": [{**entry, "rows": 2, "total_us": 5000, "code": "INFER_001"}]}
    answer = httpx.post(f"{registry.url}/api/v1/requests", json=body, headers={"X-API-Key": key})
    assert answer.json() == {"logged": 1, "ignored": 0, "repeated": False}


def test_webhooks_are_made_changed_and_removed(client: Client) -> None:
    """The secret is in the first answer; a test waits for the worker; removed is gone."""
    made = client.webhooks.create("https://1.1.1.1/hook", kinds=["alias.moved"], description="CI")
    assert made.secret.startswith("whsec_")
    assert made.secret not in repr(made)
    assert client.webhooks.get(made.id).kinds == ("alias.moved",)
    assert made.id in [webhook.id for webhook in client.webhooks.list()]
    delivery = client.webhooks.test(made.id)
    assert (delivery.state, delivery.kind) == ("pending", "webhook.test")
    assert [found.id for found in client.webhooks.deliveries(made.id, state="pending")] == [delivery.id]
    assert client.webhooks.delivery(made.id, delivery.id).log == ()
    assert client.webhooks.redeliver(made.id, delivery.id).state == "pending"
    assert not client.webhooks.update(made.id, enabled=False, kinds=[]).enabled
    client.webhooks.delete(made.id)
    with pytest.raises(NotFound):
        client.webhooks.get(made.id)
    with pytest.raises(InvalidRequest):
        client.webhooks.create("https://169.254.169.254/")


def test_logged_requests_and_usage_are_read(registry: Registry, client: Client) -> None:
    """By model, status and time; usage by model, key and day, for the own tenant and any."""
    log_one(registry, client, "read-by-sdk")
    [found] = client.requests.list(model="read-by-sdk", status="failed")
    assert (found.rows, found.total_us, found.code) == (2, 5000, "INFER_001")
    assert list(client.requests.list(model="read-by-sdk", status="ok")) == []
    past = datetime.now(UTC) - timedelta(hours=2)
    assert list(client.requests.list(model="read-by-sdk", end=past)) == []
    report = client.usage.report()
    assert {"read-by-sdk": 1.0}.items() <= {used.group: used.failures for used in report.groups}.items()
    assert report.total.requests >= 1
    assert client.usage.report(tenant="default", group_by="day").groups[-1].requests >= 1


def test_the_command_line_shows_them(registry: Registry, client: Client) -> None:
    """Tables for people, JSON for programs."""
    log_one(registry, client, "read-by-furo")
    assert "read-by-furo" in run(registry, "requests", "--model", "read-by-furo")
    [shown] = json.loads(run(registry, "requests", "--model", "read-by-furo", "-o", "json"))
    assert shown["rows"] == 2
    assert "read-by-furo" in run(registry, "usage")
    assert json.loads(run(registry, "usage", "--by", "key", "-o", "json"))["group_by"] == "key"
    made = json.loads(run(registry, "webhooks", "create", "https://1.1.1.1/", "-o", "json"))
    assert made["id"] in run(registry, "webhooks", "list")
    assert "whsec_" in run(registry, "webhooks", "create", "https://1.1.1.1/")
    delivery = json.loads(run(registry, "webhooks", "test", made["id"], "-o", "json"))["id"]
    assert delivery in run(registry, "webhooks", "deliveries", made["id"])
    run(registry, "webhooks", "deliveries", made["id"], delivery)
    run(registry, "webhooks", "redeliver", made["id"], delivery)
    assert "False" in run(registry, "webhooks", "update", made["id"], "--off")
    run(registry, "webhooks", "delete", made["id"])
