# SPDX-License-Identifier: Apache-2.0
"""Updates, rollbacks and scaling of running deployments: real Bentos, real processes, real requests under way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from registry_api.deployments.target import DEPLOYMENT_VARIABLE, RUN_VARIABLE
from registry_api.jobs.process import find_by_variable
from tests.integration.registry_api.bench import Bench

INPUT = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 0.0, 0.0, 0.0]}]}
V1, V2 = (0.0, 1.0, 2.0), (10.0, 11.0, 12.0)


class Load:
    """Clients that send one request after the other, each to another instance where the first does not answer."""

    def __init__(self, bench: Bench) -> None:
        self.answers: Counter[tuple[float, ...]] = Counter()
        self.repeated = 0  # an instance ended with a connection that had waited for its turn
        self._bench = bench
        self._clients: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self, clients: int = 2) -> AsyncIterator[None]:
        """Raises what a client met that it could not mend by asking another instance."""
        self._clients = [asyncio.create_task(self._send_all()) for _ in range(clients)]
        try:
            yield
        finally:
            for task in self._clients:
                task.cancel()
            ended = await asyncio.gather(*self._clients, return_exceptions=True)
        assert [each for each in ended if not isinstance(each, asyncio.CancelledError)] == []

    async def _send_all(self) -> None:
        urls = await self._urls()
        async with httpx.AsyncClient(trust_env=False) as http:
            while True:
                while (answer := await self._first_answer(http, urls)) is None:
                    urls = await self._urls()
                self.answers[answer] += 1
                await asyncio.sleep(0.02)

    async def _first_answer(self, http: httpx.AsyncClient, urls: Sequence[str]) -> tuple[float, ...] | None:
        for url in urls:
            try:
                answer = await http.post(f"{url}/v2/models/digits/infer", json=INPUT)
            except httpx.TransportError:
                self.repeated += 1
            else:
                assert answer.status_code == 200, answer.text
                return tuple(answer.json()["outputs"][0]["data"])
        return None

    async def _urls(self) -> list[str]:
        shown = (await self._bench.deployment())["instances"]
        urls = [each["url"] for each in shown if each["state"] == "ready"]
        assert urls != []
        return urls


def running(bench: Bench) -> set[str]:
    """The runs of every process of every deployment of this registry."""
    ids = [folder.name for folder in (bench.home / "deployments").glob("*")]
    found = [process for each in ids for process in find_by_variable(DEPLOYMENT_VARIABLE, each)]
    return {process.environ()[RUN_VARIABLE] for process in found}


def runs(deployment: dict[str, Any]) -> set[str]:
    return {each["run"] for each in deployment["instances"]}


async def events(bench: Bench) -> list[str]:
    """What happened, oldest first."""
    return (await bench.events())[::-1]


async def test_an_update_and_its_rollback_lose_no_request(changing: Bench) -> None:
    """Under load the new revision answers before the old one ends, in both directions: there is always one that answers."""
    new, old = (await changing.api.ok("GET", "/builds"))["items"]
    load = Load(changing)
    async with changing.working():
        first = await changing.deploy(old["id"])
        async with load.running():
            job, second = await changing.change(build_id=new["id"])
            assert (job["state"], second["state"], second["drift"]) == ("succeeded", "running", [])
            assert (second["revision"], second["serving_revision"], second["digest"]) == (2, 2, new["digest"])
            assert running(changing) == runs(second) != runs(first)
            job, third = await changing.change("POST", "/rollback", reason="slower")
            assert (third["revision"], third["serving_revision"], third["build_id"]) == (3, 3, old["id"])
            assert running(changing) == runs(third)
            await asyncio.sleep(0.2)
    print(f"answers: {dict(load.answers)}, asked again elsewhere: {load.repeated}")
    assert set(load.answers) == {V1, V2}
    history = (await changing.api.ok("GET", "/deployments/shop/revisions"))["items"]
    assert [(each["revision"], each["version"], each["reason"]) for each in history] == [
        (3, 1, "slower"),
        (2, 2, ""),
        (1, 1, ""),
    ]
    assert {each["created_by"] for each in history} == {"first admin"}
    assert (await events(changing))[3:7] == ["updated", "started", "serving", "ended"]
    told = [each["message"] for each in (await changing.api.ok("GET", "/deployments/shop/events"))["items"]]
    assert [each for each in reversed(told) if each.startswith("'")] == [
        "'first admin' wants 1 instance.",
        "'first admin' wants revision 2 instead of 1.",
        "'first admin' wants revision 3: slower.",
    ]


async def test_an_update_that_fails_leaves_what_serves(changing: Bench) -> None:
    """The old instance goes on, the error says why; rolling back takes it over as it is, without another start."""
    _new, old = (await changing.api.ok("GET", "/builds"))["items"]
    async with changing.working():
        first = await changing.deploy(old["id"])
        job, kept = await changing.change(auth="api_key")  # there is no registry to ask, so it cannot answer
        assert (job["state"], kept["state"], kept["error"]["code"]) == ("failed", "running", "JOB_002")
        assert (kept["revision"], kept["serving_revision"]) == (2, 1)
        assert (kept["url"], kept["pid"], runs(kept)) == (first["url"], first["pid"], running(changing))
        assert kept["drift"] == ["0 of 1 instances of revision 2 ready", "1 instance too many"]
        job, back = await changing.change("POST", "/rollback")
    assert (job["state"], back["error"], back["drift"], back["pid"]) == ("succeeded", None, [], first["pid"])
    assert (back["revision"], back["serving_revision"], back["auth"]) == (3, 3, "open")
    assert (await events(changing))[-5:] == ["updated", "fault", "rolled_back", "adopted", "serving"]


async def test_a_deployment_scales_up_and_down(changing: Bench) -> None:
    """1 -> 3 -> 1, each by another worker: what runs already stays, the newest end first, no revision is made."""
    build = (await changing.api.ok("GET", "/builds"))["items"][0]
    async with changing.working():
        one = await changing.deploy(build["id"])
    async with changing.working():
        job, three = await changing.change(replicas=3)
        assert (job["state"], len(three["instances"]), three["drift"], three["revision"]) == ("succeeded", 3, [], 1)
        assert len({each["url"] for each in three["instances"]}) == 3
        assert running(changing) == runs(three) > runs(one)
        for each in runs(three):
            assert "model_loaded" in await changing.text(f"/deployments/shop/logs?instance={each}")
    async with changing.working():
        job, again = await changing.change(replicas=1)
        assert (again["instances"], again["url"]) == (one["instances"], one["url"])
        assert running(changing) == runs(one)
        assert (await changing.change(replicas=1))[1] == again
        assert (await changing.stop())["instances"] == []
    assert running(changing) == set()
    for each in runs(three):
        assert "model_loaded" in await changing.text(f"/deployments/shop/logs?instance={each}")
    assert await changing.api.refused("PATCH", "/deployments/shop", json={"replicas": 2}) == (409, "STATE_001")
    assert await changing.api.refused("POST", "/deployments/shop/rollback", json={}) == (409, "STATE_001")


async def test_a_change_replaces_the_one_before(changing: Bench) -> None:
    """Twenty changes at once of what nobody started yet end each other's jobs; what is wanted last is what is made, once."""
    new, old = (await changing.api.ok("GET", "/builds"))["items"]
    await changing.api.ok("POST", "/deployments", json={"name": "shop", "build_id": old["id"], "auth": "open"})
    bodies = [{"build_id": (new, old)[number % 2]["id"], "replicas": 1 + number % 2} for number in range(20)]
    sent = (changing.api.http.patch("/api/v1/deployments/shop", json=body) for body in bodies)
    refused = {each.json()["error"]["code"] for each in await asyncio.gather(*sent) if not each.is_success}
    assert refused <= {"STATE_001"}
    last = await changing.deployment()
    assert (last["state"], last["serving_revision"]) == ("pending", None)
    async with changing.working():
        assert (await changing.ended(last["job_id"]))["state"] == "succeeded"
    jobs = (await changing.api.ok("GET", "/jobs?kind=deploy&limit=100"))["items"]
    assert {each["state"] for each in jobs if each["id"] != last["job_id"]} == {"cancelled"}
    shop = await changing.deployment()
    assert (shop["state"], shop["error"], shop["revision"]) == ("running", None, last["revision"])
    assert (shop["build_id"], len(shop["instances"])) == (last["build_id"], last["replicas"])
    assert running(changing) == runs(shop)


async def test_what_cannot_be_changed_is_refused_at_once(changing: Bench) -> None:
    """Unknown things are 404, what does not fit 409, wrong fields 422, a stale If-Match 412; asking twice changes nothing."""
    new, old = (await changing.api.ok("GET", "/builds"))["items"]
    api, shop = changing.api, "/deployments/shop"
    assert await api.refused("PATCH", shop, json={"replicas": 2}) == (404, "DEPLOY_001")
    assert await api.refused("POST", f"{shop}/rollback", json={}) == (404, "DEPLOY_001")
    assert await api.refused("GET", f"{shop}/revisions") == (404, "DEPLOY_001")
    assert await api.refused("GET", f"{shop}/events") == (404, "DEPLOY_001")
    await api.ok("POST", "/deployments", json={"name": "shop", "build_id": old["id"], "auth": "open"})
    for body, expected in (
        ({"build_id": "nothing"}, (404, "BUILD_001")),
        ({"image_id": "nothing"}, (409, "STATE_001")),
        ({"limits": {"cpus": 1}}, (409, "STATE_001")),
        ({"build_id": old["id"], "image_id": "both"}, (422, "VALID_002")),
        ({"replicas": 0}, (422, "VALID_002")),
        ({"replicas": 17}, (422, "VALID_002")),
    ):
        assert await api.refused("PATCH", shop, json=body) == expected
    assert await api.refused("POST", f"{shop}/rollback", json={"revision": 7}) == (409, "STATE_001")
    assert await api.refused("POST", "/deployments", json={"name": "x", "image_id": "nothing"}) == (404, "IMAGE_008")
    assert await api.refused("GET", f"{shop}/logs?instance=nobody") == (404, "DEPLOY_001")
    assert await api.refused("GET", f"{shop}/logs?instance=../{old['id']}") == (422, "VALID_002")
    before = await changing.deployment()
    assert await api.ok("PATCH", shop, json={"build_id": old["id"], "replicas": 1}) == before
    tag = (await api.http.get(f"/api/v1{shop}")).headers["etag"]
    changed = await api.ok("PATCH", shop, json={"build_id": new["id"]}, headers={"If-Match": tag})
    assert changed["revision"] == 2
    stale = {"json": {"build_id": old["id"]}, "headers": {"If-Match": tag}}
    assert await api.refused("PATCH", shop, **stale) == (412, "STATE_003")
