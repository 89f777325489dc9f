# SPDX-License-Identifier: Apache-2.0
"""Deploy and stop jobs through the API: real Bentos, real `bentoml serve`, real inferences, on loopback."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from artifacts.digest import hex_of
from registry_api.deployments import process, supervised
from registry_api.deployments.credentials import KEY_NAME
from registry_api.deployments.target import DEPLOYMENT_VARIABLE, LOGS
from registry_api.jobs.process import find_by_variable
from registry_api.worker import assemble
from tests.integration.registry_api.bench import Bench, until

INPUT = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 0.0, 0.0, 0.0]}]}


def _processes(bench: Bench) -> list[int]:
    """Every living process of every deployment of this registry."""
    ids = [folder.name for folder in (bench.home / "deployments").glob("*")]
    return [found.pid for each in ids for found in find_by_variable(DEPLOYMENT_VARIABLE, each)]


async def _infer(url: str) -> list[float]:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.post("/v2/models/digits/infer", json=INPUT)
    data: list[float] = answer.json()["outputs"][0]["data"]
    return data


@contextmanager
def _taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


async def test_a_deployment_serves_until_it_is_stopped(bench: Bench) -> None:
    """Deploy, infer, refuse a second of the name, stop, stop again, deploy again: each does what it says."""
    build = await bench.built()
    async with bench.working():
        shop = await bench.deploy(build["id"])
        assert (shop["state"], shop["error"], shop["digest"]) == ("running", None, build["digest"])
        assert await _infer(shop["url"]) == [0.0, 1.0, 2.0]
        again = {"name": "shop", "build_id": build["id"], "auth": "open"}
        assert await bench.api.refused("POST", "/deployments", json=again) == (409, "STATE_002")

        stopped = await bench.stop()
        assert (stopped["state"], stopped["url"], stopped["pid"]) == ("stopped", None, None)
        assert _processes(bench) == []
        with pytest.raises(httpx.ConnectError):
            await _infer(shop["url"])
        assert await bench.stop() == stopped
        assert "model_loaded" in await bench.text("/deployments/shop/logs")
        assert list((bench.home / "deployments").glob("*/*/bento")) == []

        second = await bench.deploy(build["id"])
        assert second["state"] == "running"
        assert [item["name"] for item in (await bench.api.ok("GET", "/deployments"))["items"]] == ["shop"]
        assert len(list((bench.home / "deployments").iterdir())) == 1


async def test_a_deployed_process_gets_no_secret(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the worker's own settings and secrets is in the environment of what it starts."""
    monkeypatch.setenv("FUROSHIKI_DATABASE__URL", "postgresql://user:hunter2@db/registry")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    build = await bench.built()
    async with bench.working():
        shop = await bench.deploy(build["id"])
    found = [psutil.Process(pid) for pid in _processes(bench)]
    assert shop["pid"] in [each.pid for each in found]
    assert not [each for each in found if "hunter2" in "".join(each.environ().values()) + "".join(each.cmdline())]
    assert {each.environ()["FUROSHIKI_TRUST__DIR"] for each in found} == {str(bench.home / "keys" / "trust")}


async def test_a_damaged_archive_is_not_deployed(bench: Bench) -> None:
    """After a byte of the stored archive flipped, the deployment fails with STORE_003 and nothing is started."""
    build = await bench.built()
    async with bench.working():
        digest = hex_of(build["archive_digest"])
        blob = bench.home / "blobs" / "tenants" / "default" / "blobs" / "sha256" / digest[:2] / digest
        data = bytearray(blob.read_bytes())
        data[len(data) // 2] ^= 1
        blob.chmod(0o600)
        blob.write_bytes(data)
        shop = await bench.deploy(build["id"])
    assert (shop["state"], shop["error"]["code"], shop["pid"]) == ("failed", "STORE_003", None)
    assert "bentoml serve" not in await bench.text(f"/jobs/{shop['job_id']}/log")


async def test_a_revoked_bento_is_not_deployed(bench: Bench) -> None:
    """A Bento revoked after it was built, itself or through its model, fails with SIGN_009."""
    build = await bench.built()
    version = await bench.api.ok("GET", "/models/digits/versions/1")
    bench.api.platform.keys.revoke("default", digests=frozenset({version["digest"]}))
    async with bench.working():
        shop = await bench.deploy(build["id"])
    assert (shop["state"], shop["error"]["code"]) == ("failed", "SIGN_009")


@contextmanager
def _full_disk(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> Iterator[list[str]]:
    """New folders that match one of these patterns find no room, each pattern once; the names of those refused."""
    mkdir, left, refused = Path.mkdir, list(folders), list[str]()

    def make(path: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        for pattern in left:
            if path.match(str(pattern)):
                left.remove(pattern)
                refused.append(path.name)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        mkdir(path, mode, parents, exist_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", make)
        yield refused


async def test_a_full_disk_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for an instance's folder, then for its log, the job is repeated and leaves no instance behind."""
    build, run = await bench.built(), bench.home / "deployments" / "*" / "*"
    with _full_disk(monkeypatch, run, run / LOGS) as refused:
        async with bench.working():
            shop = await bench.deploy(build["id"])
    assert len(refused) == 2
    assert (shop["state"], len(shop["instances"])) == ("running", 1)
    kinds = await bench.events()
    assert sorted(kinds) == ["created", "serving", "started"]  # nothing was left that had to be ended
    assert (await bench.text(f"/jobs/{shop['job_id']}/log")).count("The disk has no room.") == 2


async def test_a_disk_that_stays_full_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last attempt the deployment has failed with STORE_004."""
    build, run = await bench.built(), bench.home / "deployments" / "*" / "*"
    with _full_disk(monkeypatch, run, run, run):
        async with bench.working():
            shop = await bench.deploy(build["id"])
    assert (shop["state"], shop["error"]["code"], shop["instances"]) == ("failed", "STORE_004", [])


async def test_a_port_that_is_taken_meanwhile_is_replaced(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process takes the chosen port first, another port is tried; the stranger is never mistaken for it."""
    free_port = supervised.free_port
    with _taken_port() as taken:
        ports = iter([taken, free_port(), free_port()])
        monkeypatch.setattr(process.ProcessTarget.__init__, "__kwdefaults__", {"choose_port": lambda: next(ports)})
        build = await bench.built()
        async with bench.working():
            shop = await bench.deploy(build["id"])
    assert shop["state"] == "running"
    assert not shop["url"].endswith(f":{taken}")
    assert "was taken by another process" in await bench.text(f"/jobs/{shop['job_id']}/log")


async def test_a_deployment_that_cannot_answer_fails_with_its_reason(bench: Bench) -> None:
    """In api_key mode without a registry to ask, the proving inference is refused, and nothing keeps running."""
    build = await bench.built()
    async with bench.working():
        shop = await bench.deploy(build["id"], auth="api_key")
    assert (shop["state"], shop["error"]["code"]) == ("failed", "JOB_002")
    assert "inference of zeros" in shop["error"]["message"]
    assert _processes(bench) == []
    names = {key["name"] for key in (await bench.api.ok("GET", "/keys"))["items"]}
    assert "first admin" in names
    assert KEY_NAME not in names


async def test_a_deployment_that_does_not_become_ready_in_time_fails(bench: Bench) -> None:
    """The error holds the last lines it wrote, and nothing keeps running."""
    quick = bench.own.deployments.model_copy(update={"ready_seconds": 0.05})
    bench.own = bench.own.model_copy(update={"deployments": quick})
    build = await bench.built()
    async with bench.working():
        shop = await bench.deploy(build["id"])
    assert (shop["state"], shop["error"]["code"]) == ("failed", "JOB_003")
    assert _processes(bench) == []


async def test_a_lost_process_is_found_told_and_started_again(bench: Bench) -> None:
    """When the process of a running deployment is killed, the watch ends what is left of it, says so, and has it repaired."""
    build = await bench.built()
    async with bench.working():
        shop = await bench.deploy(build["id"])
    watch = assemble(bench.api.platform, bench.own).watch
    await watch.look()
    assert await bench.deployment() == shop
    os.kill(shop["pid"], signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, shop["pid"], 0)
    await watch.look()
    lost = await bench.deployment()
    assert (lost["state"], lost["url"], lost["instances"]) == ("starting", None, [])
    assert lost["drift"] == ["0 of 1 instances of revision 1 ready"]
    assert _processes(bench) == []
    await watch.look()
    assert (await bench.deployment())["job_id"] == lost["job_id"] != shop["job_id"]
    async with bench.working():
        assert (await bench.ended(lost["job_id"]))["state"] == "succeeded"
    again = await bench.deployment()
    assert (again["state"], again["error"], again["drift"]) == ("running", None, [])
    assert again["pid"] != shop["pid"]
    assert await _infer(again["url"]) == [0.0, 1.0, 2.0]
    kinds = await bench.events()
    assert kinds == ["serving", "started", "restarted", "lost", "serving", "started", "created"]


async def test_a_start_under_way_can_be_stopped(bench: Bench) -> None:
    """Stop of a deployment that is still starting cancels the start and ends as stopped, with nothing running."""
    build = await bench.built()
    async with bench.working():
        asked = await bench.api.ok(
            "POST", "/deployments", json={"name": "shop", "build_id": build["id"], "auth": "open"}
        )

        async def started() -> bool:
            return _processes(bench) != []

        await until(started)
        stopped = await bench.stop()
    assert stopped["state"] == "stopped"
    assert (await bench.ended(asked["job_id"]))["state"] == "cancelled"
    assert _processes(bench) == []


async def test_a_deployment_nobody_started_yet_can_be_stopped(bench: Bench) -> None:
    """Stop before any worker took the start: both jobs end, and nothing ever ran."""
    build = await bench.built()
    asked = await bench.api.ok("POST", "/deployments", json={"name": "shop", "build_id": build["id"], "auth": "open"})
    assert asked["state"] == "pending"
    assert await bench.text("/deployments/shop/logs") == ""
    stopping = await bench.api.ok("POST", "/deployments/shop/stop")
    assert stopping["state"] == "stopping"
    assert (await bench.api.ok("POST", "/deployments/shop/stop"))["job_id"] == stopping["job_id"]
    async with bench.working():
        await bench.ended(stopping["job_id"])
    assert (await bench.deployment())["state"] == "stopped"
    assert not (bench.home / "deployments").exists()


async def test_what_cannot_be_deployed_is_refused_at_once(bench: Bench) -> None:
    """An unknown build is 404, an unfinished one 409, an unknown deployment 404, a bad target 422."""
    unfinished = await bench.api.ok("POST", "/builds", json={"model": "digits"})
    for fields, expected in (
        ({"build_id": "nothing"}, (404, "BUILD_001")),
        ({"build_id": unfinished["id"]}, (409, "STATE_001")),
        ({"build_id": unfinished["id"], "target": "moon"}, (422, "VALID_002")),
        ({"build_id": unfinished["id"], "name": "../up"}, (422, "VALID_002")),
    ):
        assert await bench.api.refused("POST", "/deployments", json={"name": "shop", **fields}) == expected
    assert await bench.api.refused("GET", "/deployments/shop") == (404, "DEPLOY_001")
    assert await bench.api.refused("POST", "/deployments/shop/stop") == (404, "DEPLOY_001")
    assert await bench.api.refused("GET", "/deployments/shop/logs") == (404, "DEPLOY_001")


async def test_deployments_stay_inside_their_tenant(bench: Bench) -> None:
    """Another tenant neither sees nor stops a deployment; a reader sees it but may not stop it."""
    build = await bench.built()
    await bench.api.ok("POST", "/deployments", json={"name": "shop", "build_id": build["id"]})
    await bench.api.ok("POST", "/tenants", json={"name": "other"})
    other = {"X-API-Key": await bench.api.key("tenant-admin", tenant="other")}
    reader = {"X-API-Key": await bench.api.key("viewer")}
    assert await bench.api.refused("GET", "/deployments/shop", headers=other) == (404, "DEPLOY_001")
    assert await bench.api.refused("POST", "/deployments/shop/stop", headers=other) == (404, "DEPLOY_001")
    assert await bench.api.refused("POST", "/deployments/shop/stop", headers=reader) == (403, "AUTH_003")
    body = {"name": "mine", "build_id": build["id"]}
    assert await bench.api.refused("POST", "/deployments", json=body, headers=other) == (404, "BUILD_001")
