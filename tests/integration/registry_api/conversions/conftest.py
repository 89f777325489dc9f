# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with a worker whose converting child is the program made for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from registry_api.conversions.child import ConvertLimits
from registry_api.conversions.handler import ConvertHandler, ConvertOptions
from registry_api.conversions.testing import PROGRAM
from registry_api.jobs.interface import JobKind
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.worker import Worker
from registry_api.products.handler import Tools
from registry_api.settings.worker import WorkerSettings
from registry_api.storage.blobs import StoredBlobs
from tests.integration.registry_api.bench import Bench, at_work
from tests.integration.registry_api.rest import open_api

POLICY = LeasePolicy(seconds=30, heartbeat_seconds=0.1, max_attempts=1, log_bytes=1 << 20)


class ConvertBench(Bench):
    """A bench whose worker converts with the program made for tests, and does nothing else."""

    @asynccontextmanager
    async def converting(self, *, tenant_bytes: int = 0) -> AsyncIterator[None]:
        """A worker runs inside the block; its tenants may keep so many bytes, if not 0."""
        platform = self.api.platform
        blobs = StoredBlobs(platform.db, platform.store, platform.blobs.parts, tenant_bytes=tenant_bytes)
        options = ConvertOptions(
            scratch=self.home / "scratch" / "conversions",
            limits=ConvertLimits(program=PROGRAM),
            picture=lambda report: f"<svg><!-- {report.variant} --></svg>".encode(),
            timeout_seconds=60,
        )
        tools = Tools(db=platform.db, store=platform.store, keys=platform.keys, clock=platform.clock)
        handler = ConvertHandler(tools, blobs=blobs, options=options)
        worker = Worker(
            JobQueue(platform.db, platform.clock, POLICY, owner="convert-bench"),
            {JobKind.CONVERT: handler},
            platform.clock,
            slots=2,
            poll_seconds=0.05,
            drain_seconds=1.0,
        )
        async with at_work(worker):
            yield

    async def ask(self, to: str = "onnx-int8", *, version: int = 1, **fields: Any) -> dict[str, Any]:
        """Asks for a conversion."""
        where = f"/models/digits/versions/{version}/conversions"
        asked: dict[str, Any] = await self.api.ok("POST", where, json={"to": to, **fields})
        return asked

    async def convert(self, to: str = "onnx-int8", *, does: str = "accept", **fields: Any) -> dict[str, Any]:
        """Asks for a conversion and waits until it has ended; a worker must be at work."""
        asked = await self.ask(to, route=[does], **fields)
        await self.ended(asked["job_id"])
        shown: dict[str, Any] = await self.api.ok("GET", f"/conversions/{asked['id']}")
        return shown


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[ConvertBench]:
    async with open_api(tmp_path / "home") as api:
        yield ConvertBench(api=api, home=tmp_path / "home", own=WorkerSettings())
