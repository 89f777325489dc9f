# SPDX-License-Identifier: Apache-2.0
"""A registry and a worker in one process, for tests of builds and deployments. Everything they start is real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry_api.deployments.target import DEPLOYMENT_VARIABLE
from registry_api.jobs.process import end_by_variable
from registry_api.jobs.worker import Worker
from registry_api.settings.registry import JobSettings
from registry_api.settings.worker import WorkerSettings
from registry_api.worker import assemble
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx

WAIT_SECONDS = 120.0
QUICK = JobSettings(poll_seconds=0.05, heartbeat_seconds=0.1)
FINAL = frozenset({"succeeded", "failed", "cancelled"})


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Waits until ``look`` is true; other processes cannot set an event."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await look():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    """A worker runs inside the block, and has ended what it began when the block ends."""
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


async def ended_job(ask: Callable[[str, str], Awaitable[dict[str, Any]]], job_id: str) -> dict[str, Any]:
    """The job, as soon as it has ended.

    Args:
        ask: Sends a request that must succeed, by method and path; its JSON.
        job_id: Which one.
    """
    found: dict[str, Any] = {}

    async def final() -> bool:
        found.update(await ask("GET", f"/jobs/{job_id}"))
        return found["state"] in FINAL

    await until(final)
    return found


@dataclass(kw_only=True)
class Bench:
    """A registry's client and its worker."""

    api: Api
    home: Path
    own: WorkerSettings

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """A worker runs inside the block."""
        async with at_work(assemble(self.api.platform, self.own).worker):
            yield

    async def ended(self, job_id: str) -> dict[str, Any]:
        """The job, as soon as it has ended."""
        return await ended_job(self.api.ok, job_id)

    async def push(self, model: str = "digits", *, seed: int = 0) -> dict[str, Any]:
        """Registers the next version of a tiny real model, whose answers differ by ``seed``."""
        if model not in [item["name"] for item in (await self.api.ok("GET", "/models"))["items"]]:
            await self.api.ok("POST", "/models", json={"name": model})
        version: dict[str, Any] = await self.api.push(model, {"model.onnx": tiny_onnx(seed)})
        return version

    async def build(self, **fields: Any) -> dict[str, Any]:
        """Asks for a build and waits until it has ended; a worker must be at work."""
        build = await self.api.ok("POST", "/builds", json={"model": "digits", **fields})
        await self.ended(build["job_id"])
        shown: dict[str, Any] = await self.api.ok("GET", f"/builds/{build['id']}")
        return shown

    async def built(self) -> dict[str, Any]:
        """The newest build."""
        newest: dict[str, Any] = (await self.api.ok("GET", "/builds"))["items"][0]
        return newest

    async def deploy(self, build_id: str, **fields: Any) -> dict[str, Any]:
        """Asks for an open deployment and waits until its job has ended; a worker must be at work."""
        body = {"name": "shop", "build_id": build_id, "auth": "open", **fields}
        asked = await self.api.ok("POST", "/deployments", json=body)
        await self.ended(asked["job_id"])
        return await self.deployment(asked["name"])

    async def change(
        self, method: str = "PATCH", path: str = "", **fields: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Changes deployment ``shop``; the job, once it has ended, and what there is then. A worker must be at work."""
        asked = await self.api.ok(method, f"/deployments/shop{path}", json=fields)
        return await self.ended(asked["job_id"]), await self.deployment()

    async def deployment(self, name: str = "shop") -> dict[str, Any]:
        """A deployment as shown."""
        shown: dict[str, Any] = await self.api.ok("GET", f"/deployments/{name}")
        return shown

    async def stop(self, name: str = "shop") -> dict[str, Any]:
        """Asks for a deployment's end and waits for it; a worker must be at work."""
        asked = await self.api.ok("POST", f"/deployments/{name}/stop")
        await self.ended(asked["job_id"])
        return await self.deployment(name)

    async def events(self) -> list[str]:
        """What happened to deployment ``shop``, newest first."""
        return [each["kind"] for each in (await self.api.ok("GET", "/deployments/shop/events"))["items"]]

    async def text(self, path: str) -> str:
        """A log."""
        reply = await self.api.http.get(f"/api/v1{path}")
        assert reply.is_success, reply.text
        return reply.text


@asynccontextmanager
async def open_bench(home: Path, own: WorkerSettings) -> AsyncIterator[Bench]:
    """A registry in ``home``; whatever it deployed is ended with the block."""
    async with open_api(home, jobs=QUICK) as api:
        try:
            yield Bench(api=api, home=home, own=own)
        finally:
            for folder in (home / "deployments").glob("*"):
                with suppress(OSError):
                    await asyncio.to_thread(end_by_variable, DEPLOYMENT_VARIABLE, folder.name)
