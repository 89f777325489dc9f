# SPDX-License-Identifier: Apache-2.0
"""The port of deploy and stop jobs: who makes what there is of a deployment what is wanted of it.

Two kinds of targets differ in who keeps instances: workers do, on their machines
(:mod:`registry_api.deployments.instancing`), or a cluster does (:mod:`registry_api.deployments.clusters.converging`).

Every implementation guarantees: nothing runs that did not verify; one write says that what is wanted serves, after all of it
is ready; a job that does not get there leaves alone what served before; killed anywhere and run again, it comes to the same
end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from core.errors import ErrorCode, Unavailable
from registry_api.deployments.history.values import Revision
from registry_api.deployments.values import Deployment, TargetKind
from registry_api.jobs.interface import Job, JobTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """What a deployment became."""

    instances: int
    url: str | None  # where it answers first


class Converger(Protocol):
    """Converges the deployments of one kind of target."""

    async def converge(self, deployment: Deployment, revision: Revision, task: JobTask) -> Converged:
        """Makes ``revision`` serve.

        Raises:
            SignatureError: A ``SIGN_*`` or ``IMAGE_*`` code: what is stored is not what the tenant signed.
            Unavailable: ``DEVICE_001`` if the target is not to be had here.
            Conflict: ``STATE_001`` if the deployment was stopped or changed meanwhile.
            FuroshikiError: Whatever keeps it from being ready.
        """
        ...

    async def withdraw(self, deployment: Deployment, job: Job) -> None:
        """Takes back what ``job``, which ends without success, brought; what served before goes on."""
        ...

    async def end(self, deployment: Deployment, job: Job) -> None:
        """Ends everything; returns when nothing of it is left.

        Raises:
            Unavailable: It takes longer than a stop job waits.
        """
        ...

    async def end_now(self, deployment: Deployment) -> None:
        """Ends as much as can be ended at once; the watch ends the rest."""
        ...


class Convergers:
    """Those a worker has.

    Args:
        instances: Of the targets on this machine.
        cluster: Of a cluster, if the worker has one.
        missing: Why it has none, and what to do.
    """

    def __init__(self, instances: Converger, cluster: Converger | None = None, *, missing: str = "") -> None:
        self._instances = instances
        self._cluster = cluster
        self._missing = missing

    def find(self, kind: TargetKind) -> Converger | None:
        """The one for that kind; None if this worker has none."""
        return self._cluster if kind.clustered else self._instances

    def of(self, kind: TargetKind) -> Converger:
        """The one for that kind.

        Raises:
            Unavailable: ``DEVICE_001`` with the reason; a worker elsewhere may have it.
        """
        found = self.find(kind)
        if found is None:
            message = f"Target {kind} is not to be had on this worker: {self._missing}"
            raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, message)
        return found
