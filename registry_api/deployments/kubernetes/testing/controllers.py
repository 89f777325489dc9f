# SPDX-License-Identifier: Apache-2.0
"""The controllers of the API on loopback: a Deployment's pods become what a test says."""

from __future__ import annotations

import json
import zlib
from typing import Final

from registry_api.deployments.kubernetes.testing.merging import Object
from registry_api.deployments.kubernetes.testing.objects import Objects
from registry_api.deployments.kubernetes.testing.printing import Printing

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
        room: How many pods fit on the nodes; None: all. Another one waits until there is room and :meth:`roll` is called.
        printing: What pods print.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.pod: Object = READY
        self.conditions: list[Object] = []
        self.idle = False
        self.room: int | None = None
        self.printing = Printing(objects)

    def applied(self, plural: str, name: str) -> None:
        """An object was applied."""
        if plural == "deployments" and not self.idle:
            self.roll(name)

    def roll(self, name: str) -> None:
        """Makes as many pods of a Deployment as it wants, all at once; those of another template are replaced."""
        found = self._objects.get("deployments", name)
        if found is None:
            return
        wanted, template = found["spec"].get("replicas", 1), found["spec"]["template"]
        pods = [self._made(name, index, template) for index in range(wanted)]
        names = {each["metadata"]["name"] for each in pods}
        self._end_pods(name, but=names)
        for index, pod in enumerate(pods):
            status = (
                self.pod if self.room is None or index < self.room else unschedulable("0/1 nodes: Insufficient cpu")
            )
            self._keep(pod, status)
        ready = sum("status" not in (self._objects.get("pods", each) or {}) for each in names)
        status = {
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
        held = bool((self._objects.get(plural, name) or {}).get("metadata", {}).get("finalizers"))
        if held or (plural == "deployments" and policy == "Foreground"):
            self._objects.mark(plural, name)
            if held or self.idle:
                return
        self.collect(plural, name)

    def collect(self, plural: str, name: str) -> None:
        """The garbage collector ends a deletion."""
        if plural == "deployments":
            self._end_pods(name, but=set())
        self._objects.drop(plural, name)

    def _made(self, name: str, index: int, template: Object) -> Object:
        drawn = zlib.crc32(json.dumps(template, sort_keys=True).encode())
        metadata = {"name": f"{name}-{drawn:08x}-{index}", "labels": template["metadata"]["labels"]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}

    def _keep(self, pod: Object, status: Object) -> None:
        name = pod["metadata"]["name"]
        if self._objects.get("pods", name) is None:
            self._objects.put("pods", pod)
        self._objects.set_status("pods", name, dict(status))

    def _end_pods(self, name: str, *, but: set[str]) -> None:
        for each in self._objects.every("pods"):
            pod = each["metadata"]["name"]
            if pod.startswith(f"{name}-") and pod not in but:
                self._objects.drop("pods", pod)
