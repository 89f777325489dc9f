# SPDX-License-Identifier: Apache-2.0
"""A registry and workers as real processes, with workers killed in the middle of a build and of a deployment."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import httpx
import pytest

from registry_api.deployments.credentials import KEY_NAME
from registry_api.deployments.target import DEPLOYMENT_VARIABLE
from registry_api.jobs.process import JOB_VARIABLE, find_by_variable
from tests.integration.registry_api.bench import until
from tests.integration.registry_api.deployments.site import Site

INPUT = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 0.0, 0.0, 0.0]}]}


async def _appear(variable: str, value: str) -> None:
    async def there() -> bool:
        return any(True for _ in find_by_variable(variable, value))

    await until(there)


@pytest.mark.fault("kill -9 of the worker in mid-job")
async def test_a_worker_killed_in_mid_build_is_replaced(site: Site) -> None:
    """kill -9 while BentoML runs: another worker ends the orphan, builds again, and there is one Bento."""
    first = site.work()
    build = await site.ask("POST", "/builds", json={"model": "digits"})
    await _appear(JOB_VARIABLE, build["job_id"])
    first.send_signal(signal.SIGKILL)
    first.wait()
    site.work()
    job = await site.ended(build["job_id"])
    assert (job["state"], job["attempt"]) == ("succeeded", 2), job
    shown = await site.ask("GET", f"/builds/{build['id']}")
    assert shown["digest"] == job["result"]["digest"]
    assert list(find_by_variable(JOB_VARIABLE, build["job_id"])) == []
    assert list((site.registry.home / "scratch" / "builds").glob("build-*")) == []
    assert len(list((site.registry.home / "bentoml" / "bentos" / "default.digits").glob("v1-*"))) == 1


@pytest.mark.fault("kill -9 of the worker in mid-job")
async def test_a_worker_killed_in_mid_deployment_leaves_no_orphan(site: Site) -> None:
    """kill -9 while the service starts: one deployment runs in the end, checked with an API key, and nothing else does."""
    build = (await site.ask("GET", "/builds"))["items"][0]
    first = site.work()
    asked = await site.ask("POST", "/deployments", json={"name": "shop", "build_id": build["id"]})
    identity: list[str] = []

    async def begun() -> bool:
        identity[:] = [folder.name for folder in (site.registry.home / "deployments").glob("*")]
        return identity != []

    await until(begun)
    await _appear(DEPLOYMENT_VARIABLE, identity[0])
    first.send_signal(signal.SIGKILL)
    first.wait()
    orphans = {each.pid for each in find_by_variable(DEPLOYMENT_VARIABLE, identity[0])}
    site.work()
    job = await site.ended(asked["job_id"])
    assert (job["state"], job["attempt"]) == ("succeeded", 2), job
    alive = {each.pid for each in find_by_variable(DEPLOYMENT_VARIABLE, identity[0])}
    assert orphans & alive == set()
    shop = await site.ask("GET", "/deployments/shop")
    assert shop["pid"] in alive
    assert (
        len(list((site.registry.home / "deployments" / identity[0]).glob("*/bento"))) == 1
    )  # of the other, the log is left
    await _check_keys(site, shop)


async def _check_keys(site: Site, shop: dict[str, Any]) -> None:
    """Only keys of the tenant with scope ``infer`` are served, and the worker that finished revoked its own."""
    names = [key["name"] for key in (await site.ask("GET", "/keys"))["items"]]
    assert names.count("first admin") == 1
    assert names.count(KEY_NAME) <= 1  # the killed worker's expires by itself; the other one's is revoked
    wanted = {"name": "caller", "roles": ["user"]}
    caller = {"X-API-Key": (await site.ask("POST", "/keys", json=wanted))["key"]}
    async with httpx.AsyncClient(base_url=shop["url"], trust_env=False) as client:
        assert (await client.post("/v2/models/digits/infer", json=INPUT)).status_code == 401
        answer = await client.post("/v2/models/digits/infer", json=INPUT, headers=caller)
        assert answer.json()["outputs"][0]["data"] == [0.0, 1.0, 2.0]


async def test_a_deployment_outlives_its_worker_and_is_stopped_by_the_next(site: Site) -> None:
    """SIGTERM ends the worker but not what it deployed; another worker watches over it and stops it."""
    build = (await site.ask("GET", "/builds"))["items"][0]
    first = site.work()
    asked = await site.ask("POST", "/deployments", json={"name": "shop", "build_id": build["id"], "auth": "open"})
    assert (await site.ended(asked["job_id"]))["state"] == "succeeded"
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait) == 0
    shop = await site.ask("GET", "/deployments/shop")
    assert await _ready(shop["url"])
    site.work()
    stopping = await site.ask("POST", "/deployments/shop/stop")
    assert (await site.ended(stopping["job_id"]))["state"] == "succeeded"
    with pytest.raises(httpx.ConnectError):
        await _ready(shop["url"])


async def _ready(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        return (await client.get("/v2/health/ready")).status_code == 200
