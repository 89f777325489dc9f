# SPDX-License-Identifier: Apache-2.0
"""The request log and usage over HTTP: batches count once, tenants see their own, percentiles merge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from registry_api.usage.service import sweep_requests
from tests.integration.registry_api.rest import Api

BATCH = "0" * 31


def entry(**fields: Any) -> dict[str, Any]:
    """One logged request of the tenant ``default``, now."""
    return {
        "tenant": "default",
        "at": datetime.now(UTC).isoformat(),
        "model": "digits",
        "version": "3",
        "request_id": "r-1",
        "protocol": "rest_v2",
        "key_id": "k1",
        "rows": 2,
        "total_us": 4000,
        "queue_us": 1000,
        "compute_us": 2000,
        "runner": "onnx-cpu",
        **fields,
    }


async def deliver(api: Api, *entries: dict[str, Any], batch: str = BATCH + "1") -> Any:
    """Delivers a batch with a key of the role ``service``."""
    key = await api.key("service")
    body = {"id": batch, "requests": list(entries)}
    return await api.ok("POST", "/requests", json=body, headers={"X-API-Key": key})


async def viewer(api: Api, tenant: str = "default") -> dict[str, str]:
    """Headers of a tenant's administrator."""
    return {"X-API-Key": await api.key("tenant-admin", tenant=tenant)}


async def test_what_is_delivered_is_listed(api: Api) -> None:
    """Newest first, with every field, for the own tenant only."""
    await api.ok("POST", "/tenants", json={"name": "other"})
    taken = await deliver(
        api, entry(request_id="a"), entry(request_id="b", code="INFER_001"), entry(tenant="other"), entry(tenant="none")
    )
    assert taken == {"logged": 3, "ignored": 1, "repeated": False}
    mine = await viewer(api)
    page = await api.ok("GET", "/requests", headers=mine)
    assert [item["request_id"] for item in page["items"]] == ["b", "a"]
    first = page["items"][1]
    del first["at"]
    assert first == {
        "model": "digits",
        "version": "3",
        "request_id": "a",
        "code": "ok",
        "protocol": "rest_v2",
        "key_id": "k1",
        "rows": 2,
        "total_us": 4000,
        "queue_us": 1000,
        "compute_us": 2000,
        "runner": "onnx-cpu",
        "weight": 1.0,
        "metadata": None,
    }
    others = await api.ok("GET", "/requests", headers=await viewer(api, "other"))
    assert len(others["items"]) == 1


async def test_a_batch_counts_once(api: Api) -> None:
    """Delivered again, a batch changes neither the log nor the usage."""
    await deliver(api, entry())
    assert (await deliver(api, entry()))["repeated"] is True
    mine = await viewer(api)
    assert len((await api.ok("GET", "/requests", headers=mine))["items"]) == 1
    assert (await api.ok("GET", "/usage", headers=mine))["total"]["requests"] == 1
    await deliver(api, entry(), batch=BATCH + "2")
    assert (await api.ok("GET", "/usage", headers=mine))["total"]["requests"] == 2


async def test_requests_are_filtered_and_paged(api: Api) -> None:
    """By time, model and status; pages follow each other without gaps, also within one moment."""
    moment = datetime.now(UTC) - timedelta(hours=1)
    entries = [entry(request_id=f"r{n}", at=moment.isoformat(), model=f"m{n % 2}") for n in range(7)]
    entries.append(entry(request_id="old", at=(moment - timedelta(days=3)).isoformat()))
    entries.append(entry(request_id="bad", code="cancelled", model="m1"))
    await deliver(api, *entries)
    mine = await viewer(api)
    seen: list[str] = []
    page: dict[str, Any] = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        at = {"cursor": page["next_cursor"]} if seen else {}
        page = await api.ok("GET", "/requests", headers=mine, params={"limit": 3, **at})
        seen += [item["request_id"] for item in page["items"]]
    assert seen == ["bad", *(f"r{n}" for n in reversed(range(7)))]

    async def ids(**params: str) -> list[str]:
        return [item["request_id"] for item in (await api.ok("GET", "/requests", headers=mine, params=params))["items"]]

    assert await ids(model="m1", status="ok") == ["r5", "r3", "r1"]
    assert await ids(status="failed") == ["bad"]
    long_ago = {"from": (moment - timedelta(days=4)).isoformat(), "to": moment.isoformat()}
    assert await ids(**long_ago) == ["old"]


async def test_usage_is_added_up(api: Api) -> None:
    """Weights stand for what was not logged; groups are models, keys and days; percentiles are right within a bin."""
    day = datetime(2026, 3, 1, 12, tzinfo=UTC)
    entries = [entry(at=day.isoformat(), total_us=10_000, weight=10.0, key_id="a") for _ in range(9)]
    entries += [
        entry(at=day.isoformat(), total_us=1_000_000, weight=10.0, key_id="a", model="slow"),
        entry(at=(day + timedelta(days=1)).isoformat(), code="QUOTA_001", key_id="b", rows=0, compute_us=None),
    ]
    await deliver(api, *entries)
    mine = await viewer(api)
    params = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-03T00:00:00Z"}
    report = await api.ok("GET", "/usage", headers=mine, params=params)
    total = report["total"]
    assert (total["requests"], total["failures"], total["refused"], total["rows"]) == (101, 1, 1, 200)
    assert abs(total["compute_seconds"] - 0.2) < 1e-9
    assert abs(total["p50_ms"] - 10) < 1
    assert abs(total["p99_ms"] - 1000) < 100
    assert {group["group"]: group["requests"] for group in report["groups"]} == {"digits": 91, "slow": 10}
    assert abs(report["busiest_rate"] - 100 / 3600) < 1e-9
    assert (report["from"], report["stored_bytes"]) == ("2026-03-01T00:00:00.000Z", 0)
    by_key = await api.ok("GET", "/usage", headers=mine, params={**params, "group_by": "key"})
    assert [group["group"] for group in by_key["groups"]] == ["a", "b"]
    by_day = await api.ok("GET", "/usage", headers=mine, params={**params, "group_by": "day"})
    assert {group["group"]: group["requests"] for group in by_day["groups"]} == {"2026-03-01": 100, "2026-03-02": 1}


async def test_platform_administrators_see_the_usage_of_all(api: Api) -> None:
    """Under the tenant's name; a tenant that does not exist is not found, and tenants do not see each other."""
    await api.ok("POST", "/tenants", json={"name": "other"})
    await deliver(api, entry(tenant="other"))
    platform = {"X-API-Key": await api.key("platform-admin")}
    report = await api.ok("GET", "/tenants/other/usage", headers=platform)
    assert (report["tenant"], report["total"]["requests"]) == ("other", 1)
    assert await api.refused("GET", "/tenants/none/usage", headers=platform) == (404, "TENANT_001")
    admin = await viewer(api)
    assert await api.refused("GET", "/tenants/other/usage", headers=admin) == (403, "AUTH_003")
    assert (await api.ok("GET", "/usage", headers=admin))["total"]["requests"] == 0


async def test_only_services_write_and_only_administrators_read(api: Api) -> None:
    """Other roles are refused."""
    user = {"X-API-Key": await api.key("user")}
    body = {"id": BATCH + "1", "requests": [entry()]}
    assert await api.refused("POST", "/requests", json=body, headers=user) == (403, "AUTH_003")
    assert await api.refused("GET", "/requests", headers=user) == (403, "AUTH_003")
    assert await api.refused("GET", "/usage", headers=user) == (403, "AUTH_003")


async def test_questions_without_sense_are_refused(api: Api) -> None:
    """Times the wrong way round, too long a time, another list's cursor."""
    mine = await viewer(api)
    backwards = {"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}
    for path in ("/requests", "/usage"):
        assert await api.refused("GET", path, headers=mine, params=backwards) == (422, "VALID_002")
        years = {"from": "2020-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
        assert await api.refused("GET", path, headers=mine, params=years) == (422, "VALID_002")
        first = {"to": "0001-01-01T00:00:00Z"}
        assert (await api.refused("GET", path, headers=mine, params=first))[0] == 422 or path
    first = {"to": "0001-01-01T00:00:00Z"}  # nothing can be before it
    assert await api.refused("GET", "/requests", headers=mine, params=first) == (422, "VALID_002")
    for cursor in ("WyJhIl0", "Wzk5OTk5OTk5OTk5OTk5OTk5OSwxXQ"):
        refused = await api.refused("GET", "/requests", headers=mine, params={"cursor": cursor})
        assert refused == (422, "VALID_002")


async def test_what_is_old_is_removed(api: Api) -> None:
    """Requests and hours each after their own time; an id of a batch with the requests."""
    now = api.platform.clock.now()
    await deliver(api, entry(request_id="new"), entry(request_id="old", at=(now - timedelta(days=40)).isoformat()))
    removed = await sweep_requests(api.platform.db, api.platform.clock, kept_days=30, usage_days=35)
    assert removed == 2
    mine = await viewer(api)
    since = {"from": (now - timedelta(days=90)).isoformat()}
    page = await api.ok("GET", "/requests", headers=mine, params=since)
    assert [item["request_id"] for item in page["items"]] == ["new"]
    assert (await api.ok("GET", "/usage", headers=mine, params=since))["total"]["requests"] == 1


async def test_a_clock_set_back_loses_and_repeats_nothing(api: Api) -> None:
    """Hours are those of the requests: batches whose times go back are added like others."""
    now = datetime.now(UTC)
    await deliver(api, entry(at=now.isoformat()), batch=BATCH + "1")
    await deliver(api, entry(at=(now - timedelta(hours=1)).isoformat()), batch=BATCH + "2")
    await deliver(api, entry(at=now.isoformat()), batch=BATCH + "3")
    mine = await viewer(api)
    assert (await api.ok("GET", "/usage", headers=mine))["total"]["requests"] == 3
    assert len((await api.ok("GET", "/requests", headers=mine))["items"]) == 3
