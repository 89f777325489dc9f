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

from core.clock import Clock
from core.errors import ErrorCode, Unavailable
from registry_api.deployments.kubernetes import naming
from registry_api.deployments.kubernetes.api import Api
from registry_api.deployments.kubernetes.applying import Applier
from registry_api.deployments.kubernetes.connecting import ApiOptions
from registry_api.deployments.kubernetes.kinds import thing
from registry_api.deployments.kubernetes.pods import Pod, Pods
from registry_api.deployments.kubernetes.rendering import RenderingOptions, render
from registry_api.deployments.kubernetes.values import Difference, Document, Managed, Status, Wanted
from registry_api.deployments.kubernetes.watching import Told, Watcher


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

    Attributes:
        registry_url: Where pods reach the registry that this worker belongs to.
    """

    def __init__(self, options: ClusterOptions, clock: Clock, *, pause: Callable[[float], None] = time.sleep) -> None:
        rendering = options.rendering
        self._options = options
        self._clock = clock
        self._pause = pause
        self._instance = rendering.instance
        self.registry_url = rendering.registry_url
        api = Api(options.api, pause=pause)
        self._pods = Pods(api, namespace=rendering.namespace)
        self._applier = Applier(api, namespace=rendering.namespace, instance=rendering.instance)
        self._watcher = Watcher(
            api,
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
        self._applier.apply(self.release(wanted.tenant, wanted.name), render(wanted, self._options.rendering))

    def status(self, tenant: str, name: str) -> Status:
        """How far the cluster is with a deployment."""
        return self._watcher.look(self.release(tenant, name))[0]

    def until_ready(self, tenant: str, name: str, *, seconds: float, told: Told = lambda _: None) -> Status:
        """Returns when every wanted pod is ready. What ``told`` raises ends the wait.

        Raises:
            NotFound: ``DEPLOY_001`` if the cluster has no such deployment.
            FuroshikiError: ``CLUSTER_005``, ``CLUSTER_006``, ``CLUSTER_007``: why it is not ready; ``CLUSTER_001``.
        """
        return self._watcher.until_ready(self.release(tenant, name), name, seconds=seconds, told=told)

    def runs(self, tenant: str, name: str) -> frozenset[str]:
        """The starts that applied what the cluster has of a deployment last: one, unless something was cut off."""
        return frozenset(_run(each) for each in self._applier.existing(self.release(tenant, name)))

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
        self.remove_release(self.release(tenant, name), run=run, seconds=seconds)

    def remove_release(self, release: str, *, run: str | None = None, seconds: float) -> None:
        """As :meth:`remove`, of a release that was found."""
        until = self._clock.monotonic() + seconds
        while found := [each for each in self._applier.existing(release) if run in (None, _run(each))]:
            self._applier.delete([each for each in found if "deletionTimestamp" not in each["metadata"]])
            if self._clock.monotonic() >= until:
                left = ", ".join(_held(each) for each in found)
                raise Unavailable(ErrorCode.CLUSTER_UNREACHABLE, f"After {seconds:.0f} s the cluster still has {left}.")
            self._pause(self._options.pause_seconds)

    def managed(self) -> tuple[Managed, ...]:
        """What this registry applied and the cluster still has: to adopt, or to remove what nobody wants."""
        releases: dict[str, list[Document]] = defaultdict(list)
        for each in self._applier.existing():
            releases[naming.release_of(each)].append(each)
        return tuple(_managed(release, found) for release, found in sorted(releases.items()))

    def drift(self, wanted: Wanted) -> tuple[Difference, ...]:
        """Which of the fields that we manage are no longer as wanted. Changes nothing."""
        release = self.release(wanted.tenant, wanted.name)
        return tuple(self._applier.drift(release, render(wanted, self._options.rendering)))

    def pods(self, tenant: str, name: str) -> list[Pod]:
        """The pods of a deployment, the newest first."""
        return self._pods.of(self.release(tenant, name))

    def printed(self, pod: str, *, since: str | None, limit: int, previous: bool = False) -> bytes:
        """What a pod printed: see :meth:`registry_api.deployments.kubernetes.pods.Pods.printed`."""
        return self._pods.printed(pod, since=since, limit=limit, previous=previous)

    def release(self, tenant: str, name: str) -> str:
        """What a deployment's objects have in common: the name of its release."""
        return naming.release_name(self._instance, tenant, name)


def _run(found: Document) -> str:
    return str((found["metadata"].get("annotations") or {}).get(naming.RUN, ""))


def _held(found: Document) -> str:
    """An object that is not gone yet, and whose finalizers it waits for beside those of its own pods."""
    others = [each for each in found["metadata"].get("finalizers") or () if each != "foregroundDeletion"]
    return f"{thing(found)} (finalizers: {', '.join(others)})" if others else thing(found)


def _managed(release: str, found: Sequence[Document]) -> Managed:
    metadata = found[0]["metadata"]
    exact = metadata.get("annotations") or {}
    revision = str(metadata["labels"].get(naming.REVISION, ""))
    return Managed(
        release=release,
        registry=exact.get(naming.REGISTRY, ""),
        tenant=exact.get(naming.TENANT, ""),
        name=exact.get(naming.DEPLOYMENT, ""),
        revision=int(revision) if revision.isdecimal() else 0,
        run=exact.get(naming.RUN, ""),
        objects=tuple(thing(each) for each in found),
    )
