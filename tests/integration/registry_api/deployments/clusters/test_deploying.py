# SPDX-License-Identifier: Apache-2.0
"""Deploy jobs for a cluster, through the API: a real registry of images, real Helm, and the API server's stand-in."""

from __future__ import annotations

from registry_api.deployments.kubernetes.testing import Asked
from registry_api.deployments.kubernetes.testing.controllers import READY, waiting
from tests.integration.registry_api.bench import until
from tests.integration.registry_api.deployments.clusters.yard import SERVER, URL, Yard

BROKEN = waiting("InvalidImageName", "it cannot be pulled")  # final: nobody waits for it to become better


async def test_an_image_is_deployed_scaled_and_stopped(yard: Yard) -> None:
    """Pushed by digest with what is signed of it, applied with limits, scaled without a new revision, removed whole."""
    bench = yard.bench
    async with bench.working():
        job, shop = await yard.deploy(replicas=2, limits={"cpus": 0.5, "memory_bytes": 1 << 30})
        assert (job["state"], job["result"]) == ("succeeded", {"revision": 1, "instances": 2, "url": URL}), job
        assert (shop["state"], shop["error"], shop["url"]) == ("running", None, URL)
        assert (shop["target"], shop["serving_revision"], shop["instances"], shop["drift"]) == ("kubernetes", 1, [], [])
        assert (yard.image, yard.spec["replicas"]) == (yard.pulled(0), 2)
        limits = yard.spec["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits == {"cpu": "500m", "memory": str(1 << 30)}
        assert await yard.depot.holds(yard.images[0]["digest"])
        tags = await yard.depot.tags()
        assert tags != []
        assert all(each.startswith("sha256-") for each in tags)  # of what is attached; the image itself has none
        log = await bench.text(f"/jobs/{shop['job_id']}/log")
        assert "2 of 2 pods are made, 2 are ready" in log
        assert await bench.api.refused("GET", "/deployments/shop/logs") == (503, "DEVICE_001")

        job, scaled = await bench.change(replicas=3)
        assert (job["state"], scaled["revision"], yard.spec["replicas"]) == ("succeeded", 1, 3)
        assert f"0 of {sum_of(log)} bytes travelled" in await bench.text(f"/jobs/{job['id']}/log")

        stopped = await bench.stop()
        assert (stopped["state"], stopped["url"], yard.server.objects.names()) == ("stopped", None, set())
        _job, again = await yard.deploy()
        assert (again["state"], yard.spec["replicas"]) == ("running", 1)
    assert list((bench.home / "scratch" / "clusters").iterdir()) == []


def sum_of(log: str) -> str:
    """Bytes of the whole image, as the log of the first push has them."""
    (line,) = [line for line in log.splitlines() if "bytes travelled" in line]
    return line.rpartition(" of ")[2].partition(" ")[0]


async def test_what_a_cluster_cannot_do_is_refused_at_once(yard: Yard) -> None:
    """An open deployment in a cluster makes no job, new or by a change."""
    api = yard.bench.api
    body = {"name": "shop", "image_id": yard.images[0]["id"], "target": "kubernetes", "auth": "open"}
    before = await api.ok("GET", "/jobs")
    _status, code = await api.refused("POST", "/deployments", json=body)
    assert (code, await api.ok("GET", "/jobs")) == ("VALID_002", before)
    await api.ok("POST", "/deployments", json={**body, "auth": "api_key"})
    assert (await api.refused("PATCH", "/deployments/shop", json={"auth": "open"}))[1] == "VALID_002"
    assert yard.server.asked == []


async def test_an_update_replaces_the_pods_and_a_rollback_brings_them_back(yard: Yard) -> None:
    """Another image is another revision in the cluster; the way back is a third one of the first image."""
    await yard.deployed()
    async with yard.bench.working():
        _job, updated = await yard.bench.change(image_id=yard.images[1]["id"])
        assert (updated["serving_revision"], updated["error"], yard.image) == (2, None, yard.pulled(1))
        _job, back = await yard.bench.change("POST", "/rollback")
    assert (back["serving_revision"], back["error"], yard.image) == (3, None, yard.pulled(0))
    assert await yard.bench.events() == ["serving", "rolled_back", "serving", "updated", "serving", "created"]


async def test_an_update_that_fails_leaves_what_served(yard: Yard) -> None:
    """Pods that do not become ready: the old revision is applied again and serves, with an error; then it is rolled back."""
    await yard.deployed()

    def before(asked: Asked) -> None:
        if asked.plural == "deployments" and asked.method == "PATCH":
            yard.server.controllers.pod = BROKEN if yard.pulled(1) in str(asked.body) else READY

    yard.server.before = before
    async with yard.bench.working():
        job, shop = await yard.bench.change(image_id=yard.images[1]["id"])
        assert (job["state"], job["error"]["code"]) == ("failed", "CLUSTER_006")
        assert (shop["state"], shop["url"], shop["error"]["code"]) == ("running", URL, "CLUSTER_006")
        assert (shop["revision"], shop["serving_revision"], yard.image) == (2, 1, yard.pulled(0))
        assert shop["drift"] == ["revision 1 serves instead of 2"]
        await yard.watch().look()
        assert (await yard.bench.deployment())["job_id"] == shop["job_id"]  # there is nothing to repair
        _job, back = await yard.bench.change("POST", "/rollback")
    assert (back["revision"], back["serving_revision"], back["error"], yard.image) == (3, 3, None, yard.pulled(0))


async def test_a_scale_without_room_is_kept_until_there_is(yard: Yard) -> None:
    """Pods that fit on no node: the job says so, what serves goes on, the wish stays; with a further node the error goes."""
    yard.bench.own = yard.with_patience(0.3)
    await yard.deployed()
    yard.server.controllers.room = 1
    async with yard.bench.working():
        job, shop = await yard.bench.change(replicas=3)
    assert (job["state"], job["error"]["code"]) == ("failed", "CLUSTER_005")
    assert "1 of 3 pods are ready: Unschedulable: 0/1 nodes: Insufficient cpu" in job["error"]["message"]
    assert (shop["state"], shop["url"], shop["error"]["code"], shop["replicas"]) == ("running", URL, "CLUSTER_005", 3)
    assert shop["drift"] == ["the cluster has not got as far as is wanted"]
    assert yard.spec["replicas"] == 3
    await yard.watch().look()
    assert (await yard.bench.deployment())["job_id"] == shop["job_id"]  # the cluster tries on: no job
    yard.server.controllers.room = None
    yard.server.controllers.roll(SERVER)
    await yard.watch().look()
    shop = await yard.bench.deployment()
    assert (shop["error"], shop["drift"], shop["replicas"]) == (None, [], 3)


async def test_a_scale_without_room_can_be_taken_back(yard: Yard) -> None:
    """Asking for as many as there are makes it whole at once; no pod that serves was replaced."""
    yard.bench.own = yard.with_patience(0.3)
    await yard.deployed()
    before, yard.server.controllers.room = yard.pods, 1
    async with yard.bench.working():
        await yard.bench.change(replicas=3)
        job, shop = await yard.bench.change(replicas=1)
    assert (job["state"], shop["error"], shop["replicas"], yard.pods) == ("succeeded", None, 1, before)


async def test_a_first_start_that_fails_leaves_nothing(yard: Yard) -> None:
    """Its objects are removed, and the name may be used again."""
    yard.server.controllers.pod = BROKEN
    async with yard.bench.working():
        _job, shop = await yard.deploy()
        assert (shop["state"], shop["error"]["code"], shop["url"]) == ("failed", "CLUSTER_006", None)
        assert yard.server.objects.names() == set()
        yard.server.controllers.pod = READY
        _job, again = await yard.deploy()
    assert (again["state"], again["error"]) == ("running", None)


async def test_a_cancelled_start_leaves_nothing(yard: Yard) -> None:
    """Stopped while pods are waited for: the job ends, and its objects are gone."""
    yard.server.controllers.pod = waiting("ContainerCreating")
    body = {"name": "shop", "image_id": yard.images[0]["id"], "target": "kubernetes"}
    async with yard.bench.working():
        asked = await yard.bench.api.ok("POST", "/deployments", json=body)

        async def applied() -> bool:
            return f"deployments/{SERVER}" in yard.server.objects.names()

        await until(applied)
        stopped = await yard.bench.stop()
        assert (await yard.bench.ended(asked["job_id"]))["state"] == "cancelled"
    assert (stopped["state"], yard.server.objects.names()) == ("stopped", set())


async def test_what_does_not_verify_reaches_nobody(yard: Yard) -> None:
    """A damaged layer and a revoked model are refused with their codes; nothing is pushed, and nothing applied."""
    image, bench = yard.images[0], yard.bench
    layer = image["layers"][-1]["digest"]
    bench.api.damage(layer)
    async with bench.working():
        _job, shop = await yard.deploy()
        assert (shop["state"], shop["error"]["code"]) == ("failed", "STORE_003")
        bench.api.damage(layer)  # the bit is flipped back
        version = await bench.api.ok("GET", "/models/digits/versions/1")
        bench.api.platform.keys.revoke("default", digests=frozenset({version["digest"]}))
        _job, shop = await yard.deploy()
    assert shop["error"]["code"] in ("SIGN_009", "IMAGE_007")
    assert (yard.applied, yard.server.objects.names()) == (0, set())
    assert not await yard.depot.holds(image["digest"])


async def test_a_cluster_that_forbids(yard: Yard) -> None:
    """Credentials that the cluster does not take: CLUSTER_002, and nothing is there."""
    yard.server.token = "another"
    async with yard.bench.working():
        job, shop = await yard.deploy()
    assert (job["state"], shop["state"], shop["error"]["code"]) == ("failed", "failed", "CLUSTER_002")
    assert yard.server.objects.names() == set()


async def test_a_worker_without_a_cluster_says_so(yard: Yard) -> None:
    """DEVICE_001 names the setting, and the job waits for another attempt, perhaps of a worker that has one."""
    kubernetes = yard.bench.own.kubernetes.model_copy(update={"namespace": None})
    own = yard.bench.own
    yard.bench.own = own.model_copy(update={"kubernetes": kubernetes})
    body = {"name": "shop", "image_id": yard.images[0]["id"], "target": "kubernetes"}
    async with yard.bench.working():
        asked = await yard.bench.api.ok("POST", "/deployments", json=body)

        async def told() -> bool:
            return "FUROSHIKI_KUBERNETES__NAMESPACE is not set" in await yard.bench.text(f"/jobs/{asked['job_id']}/log")

        await until(told)
    yard.bench.own = own
    async with yard.bench.working():
        assert (await yard.bench.ended(asked["job_id"]))["state"] == "succeeded"
    assert (await yard.bench.deployment())["state"] == "running"
