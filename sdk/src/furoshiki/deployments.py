# SPDX-License-Identifier: Apache-2.0
"""Deployments: Bentos and images that serve."""

from __future__ import annotations

from typing import Final

from furoshiki.api import get_request, json_request
from furoshiki.deployed import Deployment, DeploymentEvent, DeploymentRevision
from furoshiki.errors import JobFailed
from furoshiki.jobs import JobError, Jobs, OnJob
from furoshiki.logs import LogChunk, follow, read_all
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path

_STOPPED: Final = frozenset({"stopped", "failed"})


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
        return (yield from self._api.tagged(get_request(path("deployments", name)), Deployment))

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
        etag: str | None = None,
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
            etag: Change it only if this is still its ETag: nobody changed it, and no instance came or went.

        Raises:
            Conflict: ``STATE_003`` if ``etag`` is given and is not its ETag any more.
        """
        template = {"build_id": build_id, "image_id": image_id, "auth": auth, "limits": _limits(cpus, memory_bytes)}
        request = json_request("PATCH", path("deployments", name), {"replicas": replicas, **template}, etag=etag)
        return (yield from self._api.tagged(request, Deployment))

    @operation
    def rollback(
        self, name: str, *, revision: int | None = None, reason: str | None = None, etag: str | None = None
    ) -> Steps[Deployment]:
        """Begins to make a deployment what it was.

        Args:
            name: The deployment.
            revision: Which one; None: after an update that failed what serves, else the one before.
            reason: For the history.
            etag: Change it only if this is still its ETag.

        Raises:
            Conflict: ``STATE_001`` if there is no such revision, ``STATE_003`` if ``etag`` is given and is not its ETag
                any more.
        """
        fields = {"revision": revision, "reason": reason}
        request = json_request("POST", path("deployments", name, "rollback"), fields, etag=etag)
        return (yield from self._api.tagged(request, Deployment))

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
    def logs(self, name: str, *, instance: str | None = None, offset: int = 0) -> Items[LogChunk]:
        """What an instance has logged so far, in pieces.

        Args:
            name: The deployment.
            instance: The ``run`` of an instance, which may have ended, or the name of a pod; None: the first one.
            offset: Byte to begin with.

        Raises:
            NotFound: ``DEPLOY_001`` if no log of that instance is kept.
            Unavailable: ``DEVICE_001`` if it is on another machine, or in a cluster only.
        """
        yield from read_all(self._api, path("deployments", name, "logs"), offset, _of(instance))

    @listing
    def follow(self, name: str, *, instance: str | None = None, offset: int = 0) -> Items[LogChunk]:
        """What an instance logs, as it logs it, until it or the deployment ends; None: the first one at any time."""

        def ended() -> Steps[bool]:
            deployment = yield from Deployments.get.steps(self, name)
            gone = instance is not None and deployment.target != "kubernetes" and instance not in deployment.runs
            return gone or deployment.state in _STOPPED

        yield from follow(self._api, path("deployments", name, "logs"), ended, offset, _of(instance))


def _of(instance: str | None) -> dict[str, str]:
    return {} if instance is None else {"instance": instance}


def _limits(cpus: float | None, memory_bytes: int | None) -> dict[str, float | int] | None:
    named = {"cpus": cpus, "memory_bytes": memory_bytes}
    return {name: value for name, value in named.items() if value is not None} or None
