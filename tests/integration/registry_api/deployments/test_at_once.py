# SPDX-License-Identifier: Apache-2.0
"""Twenty people change one deployment at once, on SQLite and on PostgreSQL: one after the other, or told to try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from registry_api.settings.registry import JobSettings
from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.deletion.furnishing import end
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx

SHOP = "/api/v1/deployments/shop"


@pytest.fixture
async def api(tmp_path: Path, database: DatabaseSettings) -> AsyncIterator[Api]:
    """With a deployment ``shop`` that nobody has begun."""
    async with open_api(tmp_path / "home", database=database, jobs=JobSettings(queued=100)) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        await api.push("digits", {"model.onnx": tiny_onnx()})
        build = await api.ok("POST", "/builds", json={"model": "digits"})
        await end(api, build)
        await api.ok("POST", "/deployments", json={"name": "shop", "build_id": build["id"]})
        yield api


async def told(api: Api, bodies: list[dict[str, Any]], **headers: str) -> list[tuple[int, str]]:
    """What twenty at once are told: status, and code or the job that works for them."""
    replies = await asyncio.gather(*(api.http.patch(SHOP, json=body, headers=headers) for body in bodies))
    return [(each.status_code, each.json().get("job_id") or each.json()["error"]["code"]) for each in replies]


async def test_each_change_is_made_whole_or_refused(api: Api) -> None:
    """Every accepted one has a revision and a job of its own; what was wanted last is what is wanted."""
    bodies = [{"auth": ("open", "api_key")[number % 2]} for number in range(20)]
    answers = await told(api, bodies)
    assert {each for each in answers if each[0] != 202} <= {(409, "STATE_001")}
    shop = await api.ok("GET", "/deployments/shop")
    revisions = (await api.ok("GET", "/deployments/shop/revisions"))["items"]
    assert [each["revision"] for each in revisions] == list(range(shop["revision"], 0, -1))
    assert (shop["auth"], revisions[0]["auth"]) == (shop["auth"],) * 2
    jobs = (await api.ok("GET", "/jobs?kind=deploy&limit=100"))["items"]
    open_ones = [each["id"] for each in jobs if not each["cancel_requested"]]
    assert open_ones == [shop["job_id"]]
    assert {job for status, job in answers if status == 202} <= {each["id"] for each in jobs}


async def test_of_those_who_name_what_they_saw_one_wins(api: Api) -> None:
    """With one ETag there is one change; the others are told that it is another one by now."""
    seen = (await api.http.get(SHOP)).headers["etag"]
    answers = await told(api, [{"replicas": 2 + number % 10} for number in range(20)], **{"If-Match": seen})
    assert [status for status, _ in answers].count(202) == 1
    assert {each for each in answers if each[0] != 202} <= {(412, "STATE_003"), (409, "STATE_001")}
    assert (await api.ok("GET", "/deployments/shop"))["revision"] == 1


async def test_a_name_is_deployed_and_stopped_once(api: Api) -> None:
    """Twenty creations of one name: one is made, the others are told that it is in use; twenty stops: one job."""
    build = (await api.ok("GET", "/builds"))["items"][0]
    body = {"name": "mall", "build_id": build["id"]}
    made = await asyncio.gather(*(api.http.post("/api/v1/deployments", json=body) for _ in range(20)))
    assert sorted(each.status_code for each in made) == [202] + [409] * 19
    assert {each.json()["error"]["code"] for each in made if not each.is_success} == {"STATE_002"}
    stops = await asyncio.gather(*(api.http.post(f"{SHOP}/stop") for _ in range(20)))
    assert {each.status_code for each in stops} == {202}
    assert len((await api.ok("GET", "/jobs?kind=stop"))["items"]) == 1
