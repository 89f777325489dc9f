# SPDX-License-Identifier: Apache-2.0
"""A machine that gets another name keeps what it runs; what nobody waits for any more is ended all the same."""

from __future__ import annotations

import socket

import pytest

from registry_api.deployments.instances.repository import InstanceRepository
from registry_api.deployments.repository import DeploymentRepository
from registry_api.worker import assemble
from tests.integration.registry_api.bench import Bench
from tests.integration.registry_api.deployments.test_changes import events, running, runs

TENANT = "default"


async def test_a_worker_with_another_host_name_takes_over_what_runs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaled by it, the old instance goes on; unnamed by any row of its own, it is not taken for a stranger."""
    build = await bench.built()
    async with bench.working():
        one = await bench.deploy(build["id"])
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    await assemble(bench.api.platform, bench.own).watch.look()
    assert running(bench) == runs(one)
    async with bench.working():
        job, two = await bench.change(replicas=2)
    assert (job["state"], two["drift"]) == ("succeeded", [])
    assert running(bench) == runs(two) > runs(one)
    assert {each["host"] for each in two["instances"]} == {"renamed"}
    assert "adopted" in await events(bench)


async def test_what_is_left_of_a_deployment_that_is_over_is_ended(bench: Bench) -> None:
    """A stop that was given up while this machine did not answer: its watch still ends what is to end here."""
    build = await bench.built()
    async with bench.working():
        one = await bench.deploy(build["id"])
    asked = await bench.api.ok("POST", "/deployments/shop/stop")
    db, now = bench.api.platform.db, bench.api.platform.clock.now()
    async with db.write(TENANT) as session:
        deployments = DeploymentRepository(session, TENANT)
        shop = await deployments.get("shop")
        assert shop is not None
        await InstanceRepository(session, TENANT).ending(shop.id, list(runs(one)))
        assert await deployments.end(shop.id, now=now)
    assert running(bench) == runs(one)
    await assemble(bench.api.platform, bench.own).watch.look()
    shown = await bench.deployment()
    assert (shown["state"], shown["instances"], shown["job_id"]) == ("stopped", [], asked["job_id"])
    assert running(bench) == set()
