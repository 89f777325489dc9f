# SPDX-License-Identifier: Apache-2.0
"""The watch: what nobody wants is ended, what is gone is repaired once, and what does not stay is given up."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from registry_api.deployments.target import DEPLOYMENT_VARIABLE, FOLDER_VARIABLE, RUN_VARIABLE
from registry_api.deployments.watch import DeploymentWatch
from registry_api.worker import assemble
from tests.integration.registry_api.bench import Bench


def _stranger(folder: Path, run: str) -> subprocess.Popen[bytes]:
    marks = {FOLDER_VARIABLE: str(folder), DEPLOYMENT_VARIABLE: "0" * 32, RUN_VARIABLE: run}
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={**os.environ, **marks})


async def test_what_no_row_names_is_ended_and_another_registrys_is_not(bench: Bench, tmp_path: Path) -> None:
    """A process marked as this registry's that nobody knows is killed; one of another registry's folder goes on."""
    ours, theirs = _stranger(bench.home / "deployments", "a" * 32), _stranger(tmp_path / "other", "b" * 32)
    try:
        await assemble(bench.api.platform, bench.own).watch.look()
        assert await asyncio.to_thread(ours.wait, 10) == -signal.SIGKILL
        assert theirs.poll() is None
    finally:
        for process in (ours, theirs):
            process.kill()
            process.wait()


async def test_what_does_not_stay_is_given_up(bench: Bench) -> None:
    """Two watches have a killed process repaired once; killed again, it fails as a crash loop with its last lines."""
    once = bench.own.deployments.model_copy(update={"restarts": 1})
    bench.own = bench.own.model_copy(update={"deployments": once})
    build = await bench.built()
    async with bench.working():
        shop = await bench.deploy(build["id"])
    watches = [assemble(bench.api.platform, bench.own).watch for _ in range(2)]
    await _kill(shop["pid"])
    await _look(watches)
    lost = await bench.deployment()
    async with bench.working():
        assert (await bench.ended(lost["job_id"]))["state"] == "succeeded"
    again = await bench.deployment()
    assert (again["state"], again["revision"]) == ("running", 1)
    await _kill(again["pid"])
    await _look(watches)
    failed = await bench.deployment()
    assert (failed["state"], failed["url"], failed["instances"]) == ("failed", None, [])
    assert failed["error"]["code"] == "JOB_002"
    assert "started again 1 times" in failed["error"]["message"]
    assert "model_loaded" in failed["error"]["message"]
    kinds = await bench.events()
    assert [each for each in kinds if each in ("lost", "restarted", "failed")] == [
        "failed",
        "lost",
        "restarted",
        "lost",
    ]
    await _look(watches)
    assert await bench.deployment() == failed
    async with bench.working():
        _job, revived = await bench.change("PATCH", replicas=1)
    assert (revived["state"], revived["error"]) == ("running", None)


async def test_what_has_drifted_is_replaced_without_a_gap(bench: Bench) -> None:
    """An instance whose manifest on disk is another one is told of once, whoever looks, and serves until it is replaced."""
    build = await bench.built()
    async with bench.working():
        shop = await bench.deploy(build["id"])
    watches = [assemble(bench.api.platform, bench.own).watch for _ in range(2)]
    (manifest,) = (bench.home / "deployments").glob("*/*/bento/manifest.json")
    with manifest.open("ab") as file:
        file.write(b" ")
    await _look(watches)
    found = await bench.deployment()
    assert (found["state"], found["url"], found["job_id"] != shop["job_id"]) == ("running", shop["url"], True)
    assert found["drift"] == ["0 of 1 instances of revision 1 ready", "1 instance too many"]
    await _look(watches)
    async with bench.working():
        assert (await bench.ended(found["job_id"]))["state"] == "succeeded"
    await _look(watches)
    healed = await bench.deployment()
    assert (healed["state"], healed["drift"], len(healed["instances"])) == ("running", [], 1)
    assert healed["pid"] != shop["pid"]
    kinds = await bench.events()
    assert kinds[:5] == ["ended", "serving", "started", "restarted", "drifted"]
    assert kinds.count("drifted") == 1


async def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, pid, 0)


async def _look(watches: list[DeploymentWatch]) -> None:
    await asyncio.gather(*(watch.look() for watch in watches))
