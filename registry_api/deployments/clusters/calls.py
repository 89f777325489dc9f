# SPDX-License-Identifier: Apache-2.0
"""Waiting for a cluster from jobs, which may be cancelled at any moment.

A thread cannot be cancelled. What changes the cluster is therefore waited for (:func:`artifacts.stores.threads.finished`), so
that what follows a cancellation does not meet it half done; what only reads, as here, is told to end.
"""

from __future__ import annotations

import asyncio
import threading

from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.values import Status
from registry_api.jobs.interface import JobTask


class _Over(Exception):
    """Nobody waits any more."""


async def until_ready(cluster: Cluster, tenant: str, name: str, *, seconds: float, task: JobTask) -> Status:
    """Waits until every wanted pod of a deployment is ready, and says in the job's log how far it is.

    Raises:
        FuroshikiError: As :meth:`registry_api.deployments.kubernetes.cluster.Cluster.until_ready`.
    """
    over, said = threading.Event(), ""

    def told(status: Status) -> None:
        nonlocal said
        if over.is_set():
            raise _Over
        line = f"{status.updated} of {status.wanted} pods are made, {status.ready} are ready"
        if status.trouble is not None:
            line += f"; {status.trouble.reason}: {status.trouble.message}"
        if line != said:
            task.log(line)
        said = line
        task.progress(0.6 + 0.3 * status.ready / max(1, status.wanted + status.left), line[:200])

    try:
        return await asyncio.to_thread(cluster.until_ready, tenant, name, seconds=seconds, told=told)
    finally:
        over.set()
