# SPDX-License-Identifier: Apache-2.0
"""The target ``kubernetes``: one namespace of a cluster, which itself starts, replaces, scales and restarts pods.

It is not the port of processes (:mod:`registry_api.deployments.target`): a worker hands over what is wanted and reads how far
the cluster is. Methods block, each call of the API with a time limit: call them in a thread.

Guarantees. Only objects that carry the labels of this registry and of the deployment are changed or deleted. Images are named
by digest. Applying the same twice changes nothing; a worker killed in between leaves what the next one completes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from core.clock import Clock
from core.errors import ErrorCode, FuroshikiError, Unavailable
from registry_api.deployments.kubernetes import naming
from registry_api.deployments.kubernetes.api import Api, ApiOptions, Call
from registry_api.deployments.kubernetes.applying import Applier
from registry_api.deployments.kubernetes.kinds import EVENT, POD, thing
from registry_api.deployments.kubernetes.rendering import RenderingOptions, render
from registry_api.deployments.kubernetes.values import ClusterEvent, Difference, Document, Managed, Status, Wanted
from registry_api.deployments.kubernetes.watching import Told, Watcher

_MOST_LOGS: Final = 20
_MOST_EVENTS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterOptions:
    """Which cluster, and what every deployment there has in common."""

    api: ApiOptions
    rendering: RenderingOptions
    look_seconds: float = 5.0  # the longest time between two looks at a deployment that is not ready
    pause_seconds: float = 0.2  # the shortest


class Cluster:
    """Deployments of one registry in one namespace.

    Args:
        options: Which cluster.
        clock: For the time that is left.
        pause: Waits that many seconds.
    """

    def __init__(self, options: ClusterOptions, clock: Clock, *, pause: Callable[[float], None] = time.sleep) -> None:
        rendering = options.rendering
        self._options = options
        self._clock = clock
        self._pause = pause
        self._instance = rendering.instance
        self._namespace = rendering.namespace
        self._api = Api(options.api, pause=pause)
        self._applier = Applier(self._api, namespace=rendering.namespace, instance=rendering.instance)
        self._watcher = Watcher(
            self._api,
            clock,
            namespace=rendering.namespace,
            instance=rendering.instance,
            look_seconds=options.look_seconds,
            pause_seconds=options.pause_seconds,
            pause=pause,
        )

    def apply(self, wanted: Wanted) -> None:
        """Makes the cluster want it; returns before anything runs. All objects are applied, or none.

        Raises:
            InvalidRequest: ``VALID_002`` for what a cluster cannot do.
            Conflict: ``STATE_001`` if an object is not ours or being deleted, or another manager holds a field.
            FuroshikiError: ``CLUSTER_001`` to ``CLUSTER_005``; ``INIT_002``, ``DEVICE_001`` if this worker is not set up.
        """
        self._applier.apply(self._release(wanted.tenant, wanted.name), render(wanted, self._options.rendering))

    def status(self, tenant: str, name: str) -> Status:
        """How far the cluster is with a deployment."""
        return self._watcher.look(self._release(tenant, name))[0]

    def until_ready(self, tenant: str, name: str, *, seconds: float, told: Told = lambda _: None) -> Status:
        """Returns when every wanted pod is ready. What ``told`` raises ends the wait.

        Raises:
            NotFound: ``DEPLOY_001`` if the cluster has no such deployment.
            FuroshikiError: ``CLUSTER_005``, ``CLUSTER_006``, ``CLUSTER_007``: why it is not ready; ``CLUSTER_001``.
        """
        return self._watcher.until_ready(self._release(tenant, name), name, seconds=seconds, told=told)

    def runs(self, tenant: str, name: str) -> frozenset[str]:
        """The starts that applied what the cluster has of a deployment last: one, unless something was cut off."""
        return frozenset(_run(each) for each in self._applier.existing(self._release(tenant, name)))

    def remove(self, tenant: str, name: str, *, run: str | None = None, seconds: float = 120.0) -> None:
        """Deletes the objects of a deployment and returns when they and their pods are gone. May be repeated.

        Args:
            tenant: Whose it is.
            name: The deployment.
            run: Only what this start applied last; None: every object.
            seconds: How long to wait.

        Raises:
            Unavailable: ``CLUSTER_001`` if some are left after ``seconds``.
        """
        release = self._release(tenant, name)
        until = self._clock.monotonic() + seconds
        while found := [each for each in self._applier.existing(release) if run in (None, _run(each))]:
            self._applier.delete([each for each in found if "deletionTimestamp" not in each["metadata"]])
            if self._clock.monotonic() >= until:
                left = ", ".join(thing(each) for each in found)
                raise Unavailable(ErrorCode.CLUSTER_UNREACHABLE, f"After {seconds:.0f} s the cluster still has {left}.")
            self._pause(self._options.pause_seconds)

    def managed(self) -> tuple[Managed, ...]:
        """What this registry applied and the cluster still has: to adopt, or to remove what nobody wants."""
        releases: dict[str, list[Document]] = defaultdict(list)
        for each in self._applier.existing():
            releases[each["metadata"]["labels"].get(naming.RELEASE, "")].append(each)
        return tuple(_managed(found) for _, found in sorted(releases.items()))

    def drift(self, wanted: Wanted) -> tuple[Difference, ...]:
        """Which of the fields that we manage are no longer as wanted. Changes nothing."""
        release = self._release(wanted.tenant, wanted.name)
        return tuple(self._applier.drift(release, render(wanted, self._options.rendering)))

    def logs(self, tenant: str, name: str, *, lines: int = 100, limit_bytes: int = 65536) -> dict[str, str]:
        """The last lines that each of 20 pods wrote, by the pod's name; of one that did not start yet, why there are none."""
        release = self._release(tenant, name)
        pods = self._api.every(POD.path(self._namespace), "list pods", selector=f"app.kubernetes.io/instance={release}")
        query = {"container": "inference", "tailLines": str(lines), "limitBytes": str(limit_bytes)}
        found = {}
        for pod in (each["metadata"]["name"] for each in pods[:_MOST_LOGS]):
            path = f"{POD.path(self._namespace, pod)}/log"
            try:
                found[pod] = self._api.text(Call(method="GET", path=path, asked=f"read the log of {pod}", query=query))
            except FuroshikiError as error:
                if error.code is not ErrorCode.CLUSTER_REFUSED:
                    raise
                found[pod] = error.message
        return found

    def events(self, tenant: str, name: str) -> tuple[ClusterEvent, ...]:
        """What Kubernetes reported about a deployment's objects and pods: the last 200 events, oldest first."""
        prefix = self._release(tenant, name) + "-"
        listed = self._api.every(EVENT.path(self._namespace), "list events")
        found = [_event(each) for each in listed if each["involvedObject"].get("name", "").startswith(prefix)]
        return tuple(sorted(found, key=lambda each: each.at)[-_MOST_EVENTS:])

    def _release(self, tenant: str, name: str) -> str:
        return naming.release_name(self._instance, tenant, name)


def _run(found: Document) -> str:
    return str((found["metadata"].get("annotations") or {}).get(naming.RUN, ""))


def _managed(found: Sequence[Document]) -> Managed:
    metadata = found[0]["metadata"]
    exact = metadata.get("annotations") or {}
    return Managed(
        tenant=exact.get(naming.TENANT, ""),
        name=exact.get(naming.DEPLOYMENT, ""),
        revision=int(metadata["labels"].get(naming.REVISION, 0)),
        run=exact.get(naming.RUN, ""),
        objects=tuple(thing(each) for each in found),
    )


def _event(found: Document) -> ClusterEvent:
    return ClusterEvent(
        at=str(found.get("lastTimestamp") or found.get("eventTime") or found["metadata"].get("creationTimestamp", "")),
        kind=str(found["involvedObject"].get("kind", "")),
        name=str(found["involvedObject"].get("name", "")),
        reason=str(found.get("reason", "")),
        message=str(found.get("message", "")),
        warning=found.get("type") == "Warning",
        count=int(found.get("count") or 1),
    )
