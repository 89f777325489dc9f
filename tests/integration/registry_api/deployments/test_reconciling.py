# SPDX-License-Identifier: Apache-2.0
"""Acceptance: kill -9 of the worker at ten random moments; after each, what ``furo ps`` shows is what really runs."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from registry_api.deployments.target import FOLDER_VARIABLE, RUN_VARIABLE
from registry_api.jobs.process import find_by_variable
from tests.integration.registry_api.bench import FINAL, until
from tests.integration.registry_api.deployments.site import Site
from tests.integration.registry_api.process import ROOT

SEED = int(os.environ.get("FUROSHIKI_TEST_SEED", "6"))
LONGEST = 3.0  # seconds from the wish to the kill: a start takes about as long
WISHES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/deployments", {"name": "shop", "auth": "open"}),
    ("PATCH", "/deployments/shop", {"replicas": 2}),
    ("PATCH", "/deployments/shop", {"auth": "api_key"}),
    ("PATCH", "/deployments/shop", {"replicas": 1}),
    ("POST", "/deployments/shop/rollback", {}),
    ("PATCH", "/deployments/shop", {"auth": "api_key"}),
    ("PATCH", "/deployments/shop", {"replicas": 2}),
    ("POST", "/deployments/shop/stop", {}),
    ("POST", "/deployments", {"name": "shop", "auth": "open"}),
    ("POST", "/deployments/shop/stop", {}),
)


@pytest.mark.fault("kill -9 of the worker, ten random moments of deploying")
async def test_what_is_shown_is_what_runs_wherever_the_worker_is_killed(site: Site) -> None:
    """Create, scale, update, roll back, stop: a new worker adopts, finishes or takes back, and leaves nothing over."""
    chance = random.Random(SEED)
    print(f"seed {SEED} (FUROSHIKI_TEST_SEED)")
    build = (await site.ask("GET", "/builds"))["items"][0]
    worker = site.work()
    for method, path, fields in WISHES:
        more = {"build_id": build["id"]} if path == "/deployments" else {}
        wished = await site.ask(method, path, json={**fields, **more})
        delay = chance.uniform(0, LONGEST)
        await asyncio.sleep(delay)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker = site.work()
        shop = await _settled(site)
        print(
            f"{method} {path} {fields}, killed after {delay:.2f} s: {shop['state']}, {len(shop['instances'])} instances"
        )
        assert shop["error"] is None
        assert shop["revision"] == wished["revision"]
        await asyncio.to_thread(_check, site, shop)
    assert (await site.ask("GET", "/deployments/shop"))["state"] == "stopped"


async def _settled(site: Site) -> dict[str, Any]:
    shop: dict[str, Any] = {}

    async def done() -> bool:
        shop.update(await site.ask("GET", "/deployments/shop"))
        job = await site.ask("GET", f"/jobs/{shop['job_id']}")
        return job["state"] in FINAL and shop["state"] in ("running", "stopped") and shop["drift"] == []

    await until(done)
    return shop


def _check(site: Site, shop: dict[str, Any]) -> None:
    """What the command line shows is the truth: exactly these instances run, and each answers."""
    (shown,) = _furo(site, "ps", "--all")
    instances = shown["instances"]
    assert instances == shop["instances"]
    assert len(instances) == (shown["replicas"] if shown["state"] == "running" else 0)
    assert {each["state"] for each in instances} <= {"ready"}
    deployments = str(site.registry.home.resolve() / "deployments")
    assert {each.environ()[RUN_VARIABLE] for each in find_by_variable(FOLDER_VARIABLE, deployments)} == {
        each["run"] for each in instances
    }
    for each in instances:
        assert psutil.Process(each["pid"]).environ()[RUN_VARIABLE] == each["run"]
        listening = {int(each["url"].rpartition(":")[2])}
        ports = {port for process in find_by_variable(RUN_VARIABLE, each["run"]) for port in _ports(process)}
        assert listening <= ports


def _ports(process: psutil.Process) -> set[int]:
    found = process.net_connections(kind="tcp")
    return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}


def _furo(site: Site, *words: str) -> list[dict[str, Any]]:
    own = {"FUROSHIKI_URL": site.registry.url, "FUROSHIKI_API_KEY": site.registry.admin_key}
    command = [sys.executable, "-m", "furoshiki.cli", *words, "-o", "json"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **own}, capture_output=True, check=True, timeout=60)
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer
