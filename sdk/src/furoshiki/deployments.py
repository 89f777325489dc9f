# SPDX-License-Identifier: Apache-2.0
"""Deployments: Bentos and images that serve."""

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
class DeploymentLimits:
    """What one instance may use at most."""

    cpus: float | None = None  # None: no limit
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentInstance:
    """One instance of a deployment."""

    run: str
    revision: int
    state: str  # "starting", "ready" or "ending"
    host: str
    url: str | None = None
    pid: int | None = None

    @property
    def summary(self) -> str:
        """A few words."""
        return f"{self.state} {self.url or self.run} (revision {self.revision})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A Bento or an image on a target: what is wanted, and what there is of it."""

    name: str
    tenant: str
    build_id: str  # of the Bento, or of the Bento inside the image
    image_id: str | None = None  # None: the Bento itself is served
    model: str
    version: int
    digest: str | None = None
    target: str
    auth: str  # "api_key" or "open"
    limits: DeploymentLimits = DeploymentLimits()
    state: str  # "pending", "starting", "running", "stopping", "stopped" or "failed"
    replicas: int = 1  # how many instances are wanted
    revision: int = 1  # what is wanted
    serving_revision: int | None = None  # what serves; None: nothing does
    instances: tuple[DeploymentInstance, ...] = ()  # of machines; a cluster keeps its own
    drift: tuple[str, ...] = ()  # how it differs from what is wanted; empty: it does not
    url: str | None = None  # where its first instance answers, or its Service inside a cluster; None while none does
    pid: int | None = None
    job_id: str | None = None
    error: JobError | None = None  # why it failed; of one that runs, why it is not as wanted
    created_at: datetime
    updated_at: datetime

    @property
    def ready(self) -> str:
        """How many instances are ready, of how many; of pods what the registry last knew: none, all, or some (``?``)."""
        if self.target == "kubernetes":
            known = 0 if self.state != "running" else "?" if self.drift else self.replicas
            return f"{known}/{self.replicas}"
        return f"{sum(each.state == 'ready' for each in self.instances)}/{self.replicas}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRevision:
    """What was wanted of a deployment, from some time on."""

    revision: int
    build_id: str
    image_id: str | None = None
    model: str
    version: int
    digest: str | None = None
    target: str
    auth: str
    limits: DeploymentLimits = DeploymentLimits()
    reason: str = ""
    created_by: str  # the key that asked
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentEvent:
    """Something that happened to a deployment."""

    kind: str
    message: str
    at: datetime


class Deployments(Resource[D]):
    """``client.deployments``."""

    @operation
    def create(
        self,
        name: str,
        *,
        build_id: str | None = None,
        image_id: str | None = None,
        target: str | None = None,
        auth: str = "api_key",
        replicas: int = 1,
        cpus: float | None = None,
        memory_bytes: int | None = None,
    ) -> Steps[Deployment]:
        """Starts serving a build or an image under a name.

        Args:
            name: The deployment.
            build_id: A build that succeeded; this or ``image_id``.
            image_id: An image that succeeded.
            target: Where it runs: ``process`` for builds, ``podman`` or ``kubernetes`` for images; None: on the machine.
            auth: ``api_key``, or ``open`` on loopback only.
            replicas: How many instances, in a cluster pods.
            cpus: The most processors of each instance; images only.
            memory_bytes: The most memory of each instance; images only.
        """
        template = {"build_id": build_id, "image_id": image_id, "auth": auth, "limits": _limits(cpus, memory_bytes)}
        fields = {"name": name, "target": target, "replicas": replicas, **template}
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
    def update(
        self,
        name: str,
        *,
        build_id: str | None = None,
        image_id: str | None = None,
        auth: str | None = None,
        replicas: int | None = None,
        cpus: float | None = None,
        memory_bytes: int | None = None,
    ) -> Steps[Deployment]:
        """Begins to change a deployment; what serves does so until the new instances are ready.

        Args:
            name: The deployment.
            build_id: Another build; None: as it is, here and below.
            image_id: Another image.
            auth: ``api_key`` or ``open``.
            replicas: How many instances. Changing nothing else makes no revision.
            cpus: The most processors of each instance, together with ``memory_bytes``: both limits are replaced.
            memory_bytes: The most memory of each instance.
        """
        template = {"build_id": build_id, "image_id": image_id, "auth": auth, "limits": _limits(cpus, memory_bytes)}
        request = json_request("PATCH", path("deployments", name), {"replicas": replicas, **template})
        return (yield from self._api.fetch(request, Deployment))

    @operation
    def rollback(self, name: str, *, revision: int | None = None, reason: str | None = None) -> Steps[Deployment]:
        """Begins to make a deployment what it was.

        Args:
            name: The deployment.
            revision: Which one; None: after an update that failed what serves, else the one before.
            reason: For the history.
        """
        fields = {"revision": revision, "reason": reason}
        request = json_request("POST", path("deployments", name, "rollback"), fields)
        return (yield from self._api.fetch(request, Deployment))

    @listing
    def revisions(self, name: str) -> Items[DeploymentRevision]:
        """What was wanted of a deployment, newest first."""
        yield from self._api.pages(path("deployments", name, "revisions"), DeploymentRevision)

    @listing
    def events(self, name: str) -> Items[DeploymentEvent]:
        """What happened to a deployment, newest first."""
        yield from self._api.pages(path("deployments", name, "events"), DeploymentEvent)

    @operation
    def stop(self, name: str) -> Steps[Deployment]:
        """Begins to stop a deployment; :meth:`wait` tells when it has stopped."""
        request = json_request("POST", path("deployments", name, "stop"), {}, repeatable=True)
        return (yield from self._api.fetch(request, Deployment))

    @operation
    def wait(self, name: str, *, timeout: float | None = None, progress: OnJob | None = None) -> Steps[Deployment]:
        """Waits for what was last asked of a deployment: that it is as wanted, or that it has stopped.

        Args:
            name: The deployment.
            timeout: Seconds to wait at most; None: as long as it takes.
            progress: Told the deployment's job after every look at it.

        Raises:
            JobFailed: If it failed, or an update did and what served before goes on.
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


def _limits(cpus: float | None, memory_bytes: int | None) -> dict[str, float | int] | None:
    named = {"cpus": cpus, "memory_bytes": memory_bytes}
    return {name: value for name, value in named.items() if value is not None} or None
