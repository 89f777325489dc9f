# SPDX-License-Identifier: Apache-2.0
"""What pods of the API on loopback print, answered as a kubelet does (pkg/kubelet/kuberuntime/logs)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from registry_api.deployments.kubernetes.testing.merging import Object
from registry_api.deployments.kubernetes.testing.objects import Objects
from registry_api.deployments.kubernetes.testing.storing import Refused

Line = tuple[str, str]  # RFC 3339 with nine digits, and the text
_CONTAINER: Final = "inference"


class Printing:
    """The logs of all pods."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lines: dict[str, list[Line]] = defaultdict(list)
        self._previous: dict[str, list[Line]] = {}

    def say(self, pod: str, *texts: str, at: str) -> None:
        """The container of a pod prints lines, all at one moment: ``2026-01-01T00:00:00.000000000Z``."""
        self._lines[pod] += [(at, text) for text in texts]

    def restart(self, pod: str) -> None:
        """The container of a pod ends, and begins anew."""
        self._previous[pod] = self._lines.pop(pod, [])
        found = self._objects.get("pods", pod)
        assert found is not None
        container = (found.get("status", {}).get("containerStatuses") or [{"name": _CONTAINER, "restartCount": 0}])[0]
        again = container | {"ready": True, "restartCount": container["restartCount"] + 1, "state": {"running": {}}}
        self._objects.set_status("pods", pod, {"phase": "Running", "containerStatuses": [again]})

    def answer(self, pod: str, query: Mapping[str, str]) -> bytes:
        """The log of a pod, as it is asked for.

        Raises:
            Refused: 404 without such a pod, 400 if there is no such log.
        """
        found = self._objects.get("pods", pod)
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, f'pods "{pod}" not found', details={"kind": "pods", "name": pod})
        if query.get("container") != _CONTAINER:
            raise Refused(HTTPStatus.BAD_REQUEST, f"container {query.get('container')} is not valid for pod {pod}")
        lines = self._chosen(pod, found, previous=query.get("previous") == "true")
        since = query.get("sinceTime", "")[:19]
        shown = [
            f"{at} {text}\n" if query.get("timestamps") == "true" else f"{text}\n" for at, text in lines if at >= since
        ]
        return "".join(shown).encode()[: int(query.get("limitBytes", 1 << 30))]

    def _chosen(self, pod: str, found: Object, *, previous: bool) -> list[Line]:
        statuses = found.get("status", {}).get("containerStatuses") or []
        if any("waiting" in each.get("state", {}) and "lastState" not in each for each in statuses):
            message = f'container "{_CONTAINER}" in pod "{pod}" is waiting to start: ContainerCreating'
            raise Refused(HTTPStatus.BAD_REQUEST, message)
        if not previous:
            return self._lines[pod]
        if pod not in self._previous:
            message = f'previous terminated container "{_CONTAINER}" in pod "{pod}" not found'
            raise Refused(HTTPStatus.BAD_REQUEST, message)
        return self._previous[pod]
