# SPDX-License-Identifier: Apache-2.0
"""Calls of a cluster from jobs, which may be cancelled at any moment.

A thread cannot be cancelled. What changes the cluster is therefore waited for, so that what follows a cancellation does not
meet it half done; what only reads is told to end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.values import Status
from registry_api.jobs.interface import JobTask

T = TypeVar("T")


class _Over(Exception):
    """Nobody waits any more."""


async def whole(call: Callable[[], T]) -> T:
    """Runs ``call`` in a thread to its end, even if cancelled meanwhile."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise


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
