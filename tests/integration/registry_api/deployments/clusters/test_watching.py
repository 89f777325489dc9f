# SPDX-License-Identifier: Apache-2.0
"""The watch over a cluster: what is lost is told, what differs is repaired once, what nobody wants is removed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from artifacts.digest import digest_bytes
from core.clock import SystemClock
from registry_api.deployments.kubernetes.opening import opened
from registry_api.deployments.kubernetes.testing import Asked, Refused
from registry_api.deployments.kubernetes.testing.controllers import READY, waiting
from tests.integration.registry_api.deployments.clusters.yard import SERVER, URL, Yard
from tests.integration.registry_api.deployments.kubernetes.wanting import wanted

STRANGER = wanted(tenant="default", name="gone", model="digits@1", repository="default/digits", run="r")


async def test_a_difference_is_repaired_by_one_job(yard: Yard) -> None:
    """A Service that somebody deleted: two watches ask for one repair, which brings it back; then nothing differs."""
    before = await yard.deployed()
    yard.server.objects.drop("services", SERVER)
    await asyncio.gather(*(yard.watch().look() for _ in range(2)))
    found = await yard.bench.deployment()
    assert (found["state"], found["url"], found["job_id"] != before["job_id"]) == ("running", URL, True)
    async with yard.bench.working():
        assert (await yard.bench.ended(found["job_id"]))["state"] == "succeeded"
    assert f"services/{SERVER}" in yard.server.objects.names()
    assert (await yard.bench.events())[:3] == ["serving", "restarted", "drifted"]
    events = (await yard.bench.api.ok("GET", "/deployments/shop/events"))["items"]
    assert events[2]["message"] == f"Service/{SERVER} is missing"
    await yard.watch().look()
    assert (await yard.bench.deployment())["job_id"] == found["job_id"]


async def test_what_somebody_else_manages_is_told_and_not_taken(yard: Yard) -> None:
    """A repair that meets another manager's field fails with STATE_001; what serves goes on, with that error."""
    await yard.deployed()
    edit = yard.server.objects.edit
    edit("deployments", SERVER, manager="kubectl-edit", change=lambda each: each["spec"].update(replicas=5))
    await yard.watch().look()
    found = await yard.bench.deployment()
    async with yard.bench.working():
        assert (await yard.bench.ended(found["job_id"]))["error"]["code"] == "STATE_001"
    shop = await yard.bench.deployment()
    assert (shop["state"], shop["error"]["code"], yard.spec["replicas"]) == ("running", "STATE_001", 5)
    edit("deployments", SERVER, manager="kubectl-edit", change=lambda each: each["spec"].update(replicas=1))
    yard.server.controllers.roll(SERVER)
    await yard.watch().look()
    assert (await yard.bench.deployment())["error"] is None


async def test_a_revocation_reaches_the_cluster(yard: Yard) -> None:
    """The tenant's trust policy is a part of what is wanted: a changed one is a difference, and is repaired."""
    await yard.deployed()
    yard.bench.api.platform.keys.revoke("default", digests=frozenset({digest_bytes(b"another")}))
    await yard.watch().look()
    found = await yard.bench.deployment()
    async with yard.bench.working():
        assert (await yard.bench.ended(found["job_id"]))["state"] == "succeeded"
    (trust,) = yard.server.objects.every("configmaps")
    assert digest_bytes(b"another") in trust["data"]["default.json"]


async def test_lost_pods_are_told_and_left_to_the_cluster(yard: Yard) -> None:
    """Nothing is ready: starting, without a URL, and no job; ready again: running."""
    before = await yard.deployed()
    yard.server.controllers.pod = waiting("CrashLoopBackOff", "back-off", exit_code=137)
    yard.server.controllers.roll(SERVER)
    await asyncio.gather(*(yard.watch().look() for _ in range(2)))
    lost = await yard.bench.deployment()
    assert (lost["state"], lost["url"], lost["job_id"]) == ("starting", None, before["job_id"])
    yard.server.controllers.pod = READY
    yard.server.controllers.roll(SERVER)
    await yard.watch().look()
    shop = await yard.bench.deployment()
    assert (shop["state"], shop["url"], shop["job_id"]) == ("running", URL, before["job_id"])
    events = (await yard.bench.api.ok("GET", "/deployments/shop/events"))["items"]
    assert [each["kind"] for each in events] == ["serving", "lost", "serving", "created"]
    assert "CrashLoopBackOff: back-off (last exit code 137" in events[1]["message"]


async def test_a_cluster_that_is_away_changes_nothing(yard: Yard) -> None:
    """Neither state nor error nor job: it is as it was, and orphans wait."""
    before = await yard.deployed()

    def away(_asked: Asked) -> None:
        raise ConnectionError

    yard.server.before = away
    await yard.watch().look()
    assert await yard.bench.deployment() == before


async def test_what_nobody_wants_is_removed(yard: Yard) -> None:
    """By two watches at once; what is deployed stays, and so does what another registry applied there."""
    await yard.deployed()
    ours, other = yard.cluster(), yard.cluster(instance="other")
    for cluster in (ours, other):
        await asyncio.to_thread(cluster.apply, STRANGER)
    await asyncio.gather(*(yard.watch().look() for _ in range(2)))
    assert [each.name for each in ours.managed()] == ["shop"]
    assert [each.name for each in other.managed()] == ["gone"]


async def test_of_what_was_applied_anew_nothing_is_removed(yard: Yard) -> None:
    """An orphan is removed as the start that it was seen with; another start of that name meanwhile stays."""
    cluster = yard.cluster()
    cluster.apply(replace(STRANGER, run="later"))
    cluster.remove("default", "gone", run=STRANGER.run)
    assert cluster.runs("default", "gone") == {"later"}


async def test_what_another_registry_applied_is_left(yard: Yard) -> None:
    """Two registries of one name in one namespace, by mistake: neither removes what only the other one wants."""
    await yard.deployed()
    stranger = opened(yard.bench.own.kubernetes, SystemClock(), registry_url="https://staging.example.com")
    await asyncio.to_thread(stranger.apply, STRANGER)
    watch = yard.watch()
    for _ in range(2):
        await watch.look()
    assert [each.name for each in stranger.managed()] == ["gone", "shop"]


async def test_what_pods_print_can_be_read(yard: Yard) -> None:
    """By the route of all logs: the pod whose log began last, another one by its name, also when it is gone."""
    logs, printing = "/deployments/shop/logs", yard.server.controllers.printing
    await yard.deployed()
    assert await yard.bench.api.refused("GET", logs) == (503, "DEVICE_001")
    (pod,) = yard.pods
    printing.say(pod, "loaded", at="2026-01-01T00:00:00.000000001Z")
    await yard.watch().copy_logs()
    assert await yard.bench.text(logs) == "loaded\n"
    async with yard.bench.working():
        await yard.bench.change(image_id=yard.images[1]["id"])
    (later,) = yard.pods
    printing.say(later, "loaded anew", at="2026-01-01T00:01:00.000000000Z")
    await asyncio.gather(*(yard.watch().copy_logs() for _ in range(2)))
    assert await yard.bench.text(f"{logs}?instance={later}") == "loaded anew\n"
    (first,) = (yard.bench.home / "deployments").glob(f"*/{pod}/logs/*.log")
    first.touch()  # it wrote since: whoever follows goes on with the other
    assert await yard.bench.text(logs) == "loaded anew\n"
    assert await yard.bench.text(f"{logs}?instance={pod}") == "loaded\n"
    assert await yard.bench.text(f"{logs}?instance={pod}&offset=3") == "ded\n"
    assert await yard.bench.api.refused("GET", f"{logs}?instance=another") == (404, "DEPLOY_001")


async def test_a_comparison_that_fails_hides_nothing(yard: Yard) -> None:
    """The cluster refuses to compare (a field that may not change): lost pods are told all the same."""
    yard.bench.own = yard.bench.own.model_copy(
        update={"kubernetes": yard.bench.own.kubernetes.model_copy(update={"compare_seconds": 3600.0})}
    )
    await yard.deployed()

    def before(asked: Asked) -> None:
        if asked.method == "PATCH":
            raise Refused(422, "field is immutable")

    yard.server.before = before
    yard.server.controllers.pod = waiting("CrashLoopBackOff", "back-off", exit_code=137)
    yard.server.controllers.roll(SERVER)
    watch = yard.watch()
    for _ in range(2):
        await watch.look()
    assert (await yard.bench.deployment())["state"] == "starting"
