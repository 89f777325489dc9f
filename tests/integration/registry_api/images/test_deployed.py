# SPDX-License-Identifier: Apache-2.0
"""An image made by a job is deployed by another: verified, run by podman from its digest, answering, gone after the stop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from artifacts.digest import hex_of
from registry_api.deployments.podman.engine import Engine
from registry_api.deployments.target import FOLDER_VARIABLE
from registry_api.jobs.process import find_by_variable
from registry_api.settings.worker import ImageSettings, WorkerSettings
from registry_api.worker import assemble
from tests.integration.registry_api.bench import Bench, open_bench
from tests.integration.registry_api.images.conftest import Made, Workshop

INPUT = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 0.0, 0.0, 0.0]}]}


@pytest.fixture
async def bench(tmp_path: Path, workshop: Workshop, image: Made) -> AsyncIterator[Bench]:
    """A registry whose images are built on the base and with the packages that ``image`` was made with."""
    assert image.built.base == workshop.base.image.digest
    bases, caches = tmp_path / "bases", tmp_path / "home" / "images" / "cache"
    bases.mkdir()
    (bases / "cpu").symlink_to(workshop.base.layout.root)
    caches.mkdir(parents=True)
    (caches / "default").symlink_to(workshop.cache)
    async with open_bench(tmp_path / "home", WorkerSettings(images=ImageSettings(bases=bases))) as bench:
        yield bench


async def _image(bench: Bench) -> dict[str, Any]:
    await bench.push()
    build = await bench.build()
    asked = await bench.api.ok("POST", "/images", json={"build_id": build["id"], "builder": "layers"})
    await bench.ended(asked["job_id"])
    image: dict[str, Any] = await bench.api.ok("GET", f"/images/{asked['id']}")
    assert image["state"] == "succeeded", image
    return image


async def _deploy(bench: Bench, image: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"name": "shop", "image_id": image["id"], "auth": "open", **fields}
    asked = await bench.api.ok("POST", "/deployments", json=body)
    await bench.ended(asked["job_id"])
    return await bench.deployment()


def _running(bench: Bench) -> list[int]:
    return [each.pid for each in find_by_variable(FOLDER_VARIABLE, str(bench.home / "deployments"))]


async def _check_repair(bench: Bench, engine: Engine) -> None:
    """Limited behind our back, it is told of and replaced by one that is as wanted."""
    before = await bench.deployment()
    engine.run("update", "--memory", "1g", *engine.containers())
    watch = assemble(bench.api.platform, bench.own).watch
    await watch.look()
    asked = await bench.deployment()
    assert (await bench.ended(asked["job_id"]))["state"] == "succeeded"
    after = await bench.deployment()
    assert (after["drift"], after["pid"] != before["pid"]) == ([], True)
    await watch.look()
    assert await bench.deployment() == after
    events = (await bench.api.ok("GET", "/deployments/shop/events"))["items"]
    (drifted,) = [each["message"] for each in events if each["kind"] == "drifted"]
    assert f"it may use {1 << 30} bytes of memory instead of any number of" in drifted


async def test_an_image_is_deployed_verified_and_stopped(bench: Bench) -> None:
    """It answers as the model does; damaged or revoked, it is refused with its own code, and nothing runs."""
    engine = Engine(bench.home / "podman")
    async with bench.working():
        image = await _image(bench)
        shop = await _deploy(bench, image)
        assert (shop["state"], shop["error"], shop["target"]) == ("running", None, "podman")
        assert (shop["digest"], shop["image_id"], shop["build_id"]) == (image["digest"], image["id"], image["build_id"])
        async with httpx.AsyncClient(base_url=shop["url"], trust_env=False) as client:
            answer = await client.post("/v2/models/digits/infer", json=INPUT)
        assert answer.json()["outputs"][0]["data"] == [0.0, 1.0, 2.0]
        assert len(engine.containers()) == 1
        assert "model_loaded" in await bench.text("/deployments/shop/logs")
        await _check_repair(bench, engine)
        stopped = await bench.stop()
        assert (stopped["state"], stopped["instances"]) == ("stopped", [])
        assert (engine.containers(), _running(bench)) == ((), [])

        damaged = hex_of(image["layers"][-1]["digest"])
        blob = bench.home / "blobs" / "tenants" / "default" / "blobs" / "sha256" / damaged[:2] / damaged
        data = blob.read_bytes()
        blob.chmod(0o600)
        blob.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        shop = await _deploy(bench, image)
        assert (shop["state"], shop["error"]["code"]) == ("failed", "STORE_003")
        blob.write_bytes(data)

        version = await bench.api.ok("GET", "/models/digits/versions/1")
        bench.api.platform.keys.revoke("default", digests=frozenset({version["digest"]}))
        shop = await _deploy(bench, image)
        assert (shop["state"], shop["instances"]) == ("failed", [])
        assert shop["error"]["code"] in ("SIGN_009", "IMAGE_007")
        assert (engine.containers(), _running(bench)) == ((), [])
