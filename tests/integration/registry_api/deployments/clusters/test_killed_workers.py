# SPDX-License-Identifier: Apache-2.0
"""kill -9 of real workers in the middle of a start in a cluster: the next one comes to the same end."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
from collections.abc import Callable

import pytest

from registry_api.deployments.kubernetes.testing import Asked
from registry_api.deployments.kubernetes.testing.controllers import READY, waiting
from tests.integration.registry_api.deployments.clusters.yard import REGISTRY_URL, Yard
from tests.integration.registry_api.deployments.site import start_worker

SECONDS = 60.0
MOMENTS: dict[str, Callable[[Asked], bool]] = {
    "pushed": lambda asked: asked.method == "GET" and asked.name is not None,  # before anything is applied
    "applying": lambda asked: asked.method == "PATCH" and not asked.dry and asked.plural == "networkpolicies",
    "waiting": lambda asked: asked.query.get("watch") == "true",  # everything is applied, no pod is ready
}


def _work(yard: Yard) -> subprocess.Popen[bytes]:
    settings = {
        "FUROSHIKI_JOBS__LEASE_SECONDS": "1",
        "FUROSHIKI_JOBS__HEARTBEAT_SECONDS": "0.2",
        "FUROSHIKI_JOBS__POLL_SECONDS": "0.05",
        "FUROSHIKI_DEPLOYMENTS__REGISTRY_URL": REGISTRY_URL,
        "FUROSHIKI_KUBERNETES": yard.bench.own.kubernetes.model_dump_json(exclude_none=True),
    }
    return start_worker(yard.bench.home, settings)


async def _killed(yard: Yard, here: Callable[[Asked], bool]) -> None:
    """A worker comes to the moment, and is killed there; what it had asked then is answered to nobody."""
    reached, dead = threading.Event(), threading.Event()

    def before(asked: Asked) -> None:
        if here(asked) and not dead.is_set():
            reached.set()
            dead.wait(SECONDS)

    yard.server.before = before
    worker = _work(yard)
    try:
        log = yard.bench.home.parent / "worker.log"
        assert await asyncio.to_thread(reached.wait, SECONDS), log.read_text()[-3000:]
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        dead.set()


@pytest.mark.fault("kill -9 of the worker while it hands a deployment to a cluster")
async def test_a_killed_workers_start_is_completed_by_the_next(yard: Yard) -> None:
    """Three workers die over one job: before it applies, between two objects, while it waits. The fourth makes it serve."""
    yard.server.controllers.pod = waiting("ContainerCreating")
    body = {"name": "shop", "image_id": yard.images[0]["id"], "target": "kubernetes", "replicas": 2}
    asked = await yard.bench.api.ok("POST", "/deployments", json=body)
    for here in MOMENTS.values():
        await _killed(yard, here)
        assert (await yard.bench.deployment())["serving_revision"] is None
    yard.server.controllers.pod = READY
    async with yard.bench.working():
        job = await yard.bench.ended(asked["job_id"])
    assert (job["state"], job["attempt"]) == ("succeeded", len(MOMENTS) + 1), job
    shop = await yard.bench.deployment()
    assert (shop["state"], shop["serving_revision"], yard.image) == ("running", 1, yard.pulled(0))
    assert yard.cluster().runs("default", "shop") == {asked["job_id"]}
    assert list((yard.bench.home / "scratch" / "clusters").iterdir()) == []
    await yard.watch().look()
    assert (await yard.bench.deployment())["job_id"] == asked["job_id"]
