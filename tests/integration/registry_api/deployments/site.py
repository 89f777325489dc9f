# SPDX-License-Identifier: Apache-2.0
"""A registry and workers as real processes, for tests that kill workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.integration.registry_api.bench import ended_job
from tests.integration.registry_api.process import ROOT, RegistryProcess

QUICK = {
    "FUROSHIKI_JOBS__LEASE_SECONDS": "2",
    "FUROSHIKI_JOBS__HEARTBEAT_SECONDS": "0.2",
    "FUROSHIKI_JOBS__POLL_SECONDS": "0.05",
    "FUROSHIKI_DEPLOYMENTS__WATCH_SECONDS": "0.5",
}


def start_worker(home: Path, settings: Mapping[str, str], *, inside: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Starts a worker of the registry in ``home``; its log lies beside that.

    Args:
        home: Of the registry.
        settings: Environment variables of it; it has no others of ours.
        inside: A command that runs another one somewhere; none: here.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    command = [*inside, sys.executable, "-m", "registry_api", "worker"]
    environment = {**clean, "FUROSHIKI_HOME": str(home), **settings}
    with (home.parent / "worker.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


class Site:
    """A registry process, workers beside it, and a client."""

    def __init__(self, registry: RegistryProcess, client: httpx.AsyncClient) -> None:
        self.registry = registry
        self.client = client
        self.workers: list[subprocess.Popen[bytes]] = []

    def work(self, *inside: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a worker.

        Args:
            inside: A command that runs another one somewhere; none: here.
            environment: More settings.
        """
        own = {"FUROSHIKI_HTTP__PORT": str(self.registry.port), **QUICK, **environment}
        worker = start_worker(self.registry.home, own, inside=inside)
        self.workers.append(worker)
        return worker

    async def ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Sends a request that must succeed; its JSON."""
        reply = await self.client.request(method, f"/api/v1{path}", **request)
        assert reply.is_success, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    async def ended(self, job_id: str) -> dict[str, Any]:
        """The job, as soon as it has ended."""
        return await ended_job(self.ask, job_id)
