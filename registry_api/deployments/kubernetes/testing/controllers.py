# SPDX-License-Identifier: Apache-2.0
"""The controllers of the API on loopback: a Deployment's pods become what a test says."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from registry_api.deployments.kubernetes.testing.merging import Object
from registry_api.deployments.kubernetes.testing.objects import Objects, Refused

READY: Final[Object] = {}


def waiting(reason: str, message: str = "", *, exit_code: int | None = None) -> Object:
    """The status of a pod whose container waits."""
    container: Object = {"name": "inference", "state": {"waiting": {"reason": reason, "message": message}}}
    if exit_code is not None:
        container["lastState"] = {"terminated": {"exitCode": exit_code, "reason": "Error"}}
    return {"phase": "Pending", "containerStatuses": [container]}


def unschedulable(message: str) -> Object:
    """The status of a pod that fits on no node."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [condition]}


class Controllers:
    """Those of Deployments and of deletion.

    Attributes:
        pod: The status of every new pod; empty: it is ready.
        conditions: Of a Deployment, beside what follows from its pods.
        idle: Nothing happens until :meth:`roll` or :meth:`collect`.
        logs: What each pod wrote, unless it waits.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.pod: Object = READY
        self.conditions: list[Object] = []
        self.idle = False
        self.logs = "started\n"

    def applied(self, plural: str, name: str) -> None:
        """An object was applied."""
        if plural == "deployments" and not self.idle:
            self.roll(name)

    def roll(self, name: str) -> None:
        """Replaces the pods of a Deployment by as many as it wants, all at once."""
        found = self._objects.get("deployments", name)
        if found is None:
            return
        wanted = found["spec"].get("replicas", 1)
        self._end_pods(name)
        for index in range(wanted):
            self._objects.put("pods", self._made(name, index, found["spec"]["template"]))
        ready = 0 if self.pod else wanted
        status: dict[str, Any] = {
            "observedGeneration": found["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": list(self.conditions),
        }
        self._objects.set_status("deployments", name, status)

    def deleted(self, plural: str, name: str, policy: str) -> None:
        """An object is to be deleted: after what it owns, if that is the policy."""
        if plural == "deployments" and policy == "Foreground":
            self._objects.mark(plural, name)
            if self.idle:
                return
        self.collect(plural, name)

    def collect(self, plural: str, name: str) -> None:
        """The garbage collector ends a deletion."""
        if plural == "deployments":
            self._end_pods(name)
        self._objects.drop(plural, name)

    def log(self, pod: str) -> str:
        """What a pod wrote."""
        found = self._objects.get("pods", pod)
        if found is None:
            raise Refused(HTTPStatus.NOT_FOUND, f'pods "{pod}" not found')
        if found.get("status", {}).get("containerStatuses"):
            message = f'container "inference" in pod "{pod}" is waiting to start: ContainerCreating'
            raise Refused(HTTPStatus.BAD_REQUEST, message)
        return self.logs

    def _made(self, name: str, index: int, template: Object) -> Object:
        metadata = {"name": f"{name}-5d4f-{index}", "labels": template["metadata"]["labels"]}
        pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        return pod | {"status": dict(self.pod)}

    def _end_pods(self, name: str) -> None:
        for each in self._objects.every("pods"):
            if each["metadata"]["name"].startswith(f"{name}-5d4f-"):
                self._objects.drop("pods", each["metadata"]["name"])
