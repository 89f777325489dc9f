# SPDX-License-Identifier: Apache-2.0
"""Follows one deployment until it is ready.

The present state decides, never an event: a watch only says when to look again. So a watch that ends, is cut off or has
become too old (410 Gone) costs nothing but another look, and so does an API that is away for a moment. Pods change without
their Deployment, so there is a look every few seconds in any case.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Final

from core.clock import Clock
from core.errors import ErrorCode, FuroshikiError, NotFound, Unavailable
from registry_api.deployments.kubernetes import naming
from registry_api.deployments.kubernetes.api import Api, Call
from registry_api.deployments.kubernetes.events import events_of
from registry_api.deployments.kubernetes.kinds import DEPLOYMENT
from registry_api.deployments.kubernetes.pods import Pods
from registry_api.deployments.kubernetes.progress import not_ready, status_from
from registry_api.deployments.kubernetes.values import Status

Told = Callable[[Status], None]

_UNHEARD_SECONDS: Final = 1.0  # before the next look where a watch told nothing: it may have been refused at once


class Watcher:
    """Looks at the deployments of one namespace.

    Args:
        api: The cluster.
        clock: For the time that is left.
        namespace: Where everything is.
        instance: Which registry this is.
        look_seconds: The longest time between two looks.
        pause_seconds: The shortest.
        pause: Waits that many seconds.
    """

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *,
        namespace: str,
        instance: str,
        look_seconds: float = 5.0,
        pause_seconds: float = 0.2,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._pods = Pods(api, namespace=namespace)
        self._clock = clock
        self._namespace = namespace
        self._instance = instance
        self._look_seconds = look_seconds
        self._pause_seconds = pause_seconds
        self._pause = pause

    def look(self, release: str) -> tuple[Status, str]:
        """How far a deployment is, and the version of the collection at which it was."""
        selector = naming.owner_selector(self._instance, release)
        call = Call(
            method="GET",
            path=DEPLOYMENT.path(self._namespace),
            asked="list deployments",
            query={"labelSelector": selector},
        )
        listed = self._api.ask(call)
        version = str(listed["metadata"].get("resourceVersion", ""))
        found = next(
            (each for each in listed["items"] if each["metadata"]["name"] == naming.server_name(release)), None
        )
        if found is None:
            return Status(found=False), version
        pods = self._pods.documents(release)
        url = f"http://{naming.server_name(release)}.{self._namespace}.svc:3000"
        return status_from(found, pods, url), version

    def until_ready(self, release: str, name: str, *, seconds: float, told: Told) -> Status:
        """Returns when every wanted pod is ready; ``told`` hears each state that was seen.

        Raises:
            NotFound: ``DEPLOY_001`` if the cluster has no such deployment, or has it no longer.
            FuroshikiError: The code of what keeps it from being ready: ``CLUSTER_005`` to ``CLUSTER_007``, or
                ``CLUSTER_001`` if the API was away when the time was over.
        """
        until = self._clock.monotonic() + seconds
        while True:
            try:
                status, version = self.look(release)
            except Unavailable as error:
                if error.code is not ErrorCode.CLUSTER_UNREACHABLE or self._clock.monotonic() >= until:
                    raise
                self._pause(self._pause_seconds)
                continue
            told(status)
            if status.done:
                return status
            if not status.found:
                raise NotFound(ErrorCode.DEPLOYMENT_NOT_FOUND, f"The cluster has no deployment {name!r}.")
            left = until - self._clock.monotonic()
            if left <= 0 or (status.trouble is not None and status.trouble.final):
                raise not_ready(name, status, seconds, "" if status.trouble else self._warning(release))
            self._changed(release, version, min(left, self._look_seconds))

    def _changed(self, release: str, version: str, seconds: float) -> None:
        """Returns at the next change, or when there is no way to hear of it."""
        call = Call(
            method="GET",
            path=DEPLOYMENT.path(self._namespace),
            asked="watch deployments",
            query={"labelSelector": naming.owner_selector(self._instance, release), "resourceVersion": version},
        )
        with closing(self._api.changes(call, seconds)) as events:
            heard = next(events, None) is not None
        self._pause(self._pause_seconds if heard else min(seconds, _UNHEARD_SECONDS))

    def _warning(self, release: str) -> str:
        """The last warning about a release, of which nothing else is known; "": there is none, or the cluster is away."""
        try:
            found = [each for each in events_of(self._api, self._namespace, release) if each.warning]
        except FuroshikiError:
            return ""
        return f"{found[-1].reason}: {found[-1].message}" if found else ""
