# SPDX-License-Identifier: Apache-2.0
"""Deployments: Bentos that serve."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from furoshiki.api import get_request, json_request
from furoshiki.errors import JobFailed
from furoshiki.jobs import JobError, Jobs, OnJob
from furoshiki.logs import LogChunk, follow, read_all
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path

_STOPPED: Final = frozenset({"stopped", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One Bento on one target."""

    name: str
    tenant: str
    build_id: str
    model: str
    version: int
    digest: str | None = None
    target: str
    auth: str  # "api_key" or "open"
    state: str  # "pending", "starting", "running", "stopping", "stopped" or "failed"
    url: str | None = None  # where it answers; None while it does not
    pid: int | None = None
    job_id: str | None = None
    error: JobError | None = None
    created_at: datetime
    updated_at: datetime


class Deployments(Resource[D]):
    """``client.deployments``."""

    @operation
    def create(self, name: str, *, build_id: str, target: str = "process", auth: str = "api_key") -> Steps[Deployment]:
        """Starts serving a build under a name.

        Args:
            name: The deployment.
            build_id: A build that succeeded.
            target: Where it runs.
            auth: ``api_key``, or ``open`` on loopback only.
        """
        fields = {"name": name, "build_id": build_id, "target": target, "auth": auth}
        return (yield from self._api.fetch(json_request("POST", "/deployments", fields), Deployment))

    @operation
    def get(self, name: str) -> Steps[Deployment]:
        """One deployment."""
        return (yield from self._api.fetch(get_request(path("deployments", name)), Deployment))

    @listing
    def list(self) -> Items[Deployment]:
        """The tenant's deployments."""
        yield from self._api.pages("/deployments", Deployment)

    @operation
    def stop(self, name: str) -> Steps[Deployment]:
        """Begins to stop a deployment; :meth:`wait` tells when it has stopped."""
        request = json_request("POST", path("deployments", name, "stop"), {}, repeatable=True)
        return (yield from self._api.fetch(request, Deployment))

    @operation
    def wait(self, name: str, *, timeout: float | None = None, progress: OnJob | None = None) -> Steps[Deployment]:
        """Waits for what was last asked of a deployment: that it runs, or that it has stopped.

        Args:
            name: The deployment.
            timeout: Seconds to wait at most; None: as long as it takes.
            progress: Told the deployment's job after every look at it.

        Raises:
            JobFailed: If it failed.
            DeadlineExceeded: ``TIMEOUT_001``; the deployment goes on.
        """
        deployment = yield from Deployments.get.steps(self, name)
        if deployment.job_id is not None:
            yield from Jobs.wait.steps(self, deployment.job_id, timeout=timeout, progress=progress)
            deployment = yield from Deployments.get.steps(self, name)
        if deployment.state == "failed":
            error = deployment.error or JobError(code="JOB_002", message="It says no reason; read its log.")
            raise JobFailed(error.code, f"Deployment {name!r} failed: {error.message}", details={"deployment": name})
        return deployment

    @listing
    def logs(self, name: str, *, offset: int = 0) -> Items[LogChunk]:
        """What a deployment has logged so far, from byte ``offset`` on, in pieces."""
        yield from read_all(self._api, path("deployments", name, "logs"), offset)

    @listing
    def follow(self, name: str, *, offset: int = 0) -> Items[LogChunk]:
        """What a deployment logs, as it logs it, until it stops."""

        def ended() -> Steps[bool]:
            return (yield from Deployments.get.steps(self, name)).state in _STOPPED

        yield from follow(self._api, path("deployments", name, "logs"), ended, offset)
