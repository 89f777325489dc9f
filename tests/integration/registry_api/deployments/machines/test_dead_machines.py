# SPDX-License-Identifier: Apache-2.0
"""Workers on two machines, one killed: what it ran is replaced elsewhere, and ended when the machine is back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from registry_api.deployments.target import RUN_VARIABLE
from registry_api.jobs.process import find_by_variable
from tests.integration.registry_api.bench import until
from tests.integration.registry_api.deployments.machines.machine import Machine, kill_worker
from tests.integration.registry_api.deployments.site import Site

BELIEVED = {"FUROSHIKI_DEPLOYMENTS__SILENCE_SECONDS": "2"}


async def _shown(site: Site, *, hosts: list[str], state: str) -> dict[str, Any]:
    """The deployment, as soon as its instances are on those machines."""
    shop: dict[str, Any] = {}

    async def there() -> bool:
        shop.update(await site.ask("GET", "/deployments/shop"))
        return ([each["host"] for each in shop["instances"]], shop["state"]) == (hosts, state)

    await until(there)
    return shop


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        return (await client.get("/v2/health/ready")).is_success


async def _gone(run: str) -> bool:
    return not any(True for _ in find_by_variable(RUN_VARIABLE, run))


@pytest.mark.fault("kill -9 of the only worker of a machine")
async def test_a_dead_machines_instances_are_replaced_and_ended_when_it_is_back(site: Site) -> None:
    """Lost, started on the other machine, ended on the first when it is back; a stop does not wait for a silent one."""
    build = (await site.ask("GET", "/builds"))["items"][0]
    with Machine("first") as first, Machine("second") as second:
        one = site.work(*first.inside, **BELIEVED)
        asked = await site.ask("POST", "/deployments", json={"name": "shop", "build_id": build["id"], "auth": "open"})
        assert (await site.ended(asked["job_id"]))["state"] == "succeeded"
        (old,) = (await _shown(site, hosts=["first"], state="running"))["instances"]
        two = site.work(*second.inside, **BELIEVED)
        kill_worker(one)
        (new,) = (await _shown(site, hosts=["second"], state="running"))["instances"]
        assert await _answers(old["url"])  # nobody there knows that it was given up
        assert await _answers(new["url"])
        events = (await site.ask("GET", "/deployments/shop/events"))["items"]
        (lost,) = [each["message"] for each in events if each["kind"] == "lost"]
        assert lost.startswith("Machine first has not been heard of since ")
        assert f"instance {old['run']} is lost" in lost
        one = site.work(*first.inside, **BELIEVED)
        await until(lambda: _gone(old["run"]))
        assert (await _shown(site, hosts=["second"], state="running"))["instances"] == [new]
        kill_worker(two)
        stopping = await site.ask("POST", "/deployments/shop/stop")
        job = await site.ended(stopping["job_id"])
        assert (job["state"], job["attempt"]) == ("succeeded", 1), job
        (left,) = (await _shown(site, hosts=["second"], state="stopped"))["instances"]
        assert (left["run"], left["state"]) == (new["run"], "ending")
        told = (await site.ask("GET", "/deployments/shop/events"))["items"][0]
        assert (told["kind"], f"instance {new['run']} by machine second" in told["message"]) == ("stopped", True)
        assert await _answers(new["url"])
        site.work(*second.inside, **BELIEVED)
        await _shown(site, hosts=[], state="stopped")
        assert await _gone(new["run"])
