# SPDX-License-Identifier: Apache-2.0
"""Brings what pods print to where the registry reads logs, look by look.

Bounds. Of each deployment the newest pods are read, of each a megabyte a look, and of each as much is kept as of a process.
Pods that are gone stay readable, the newest few. Lines are left out only where a pod prints more than :data:`MOST_BYTES` in
one second: a line says so. What it prints in its last seconds may be missing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from core.errors import FuroshikiError
from registry_api.deployments.clusters.lines import unread
from registry_api.deployments.clusters.podlog import PodLog, held
from registry_api.deployments.kubernetes.cluster import Cluster
from registry_api.deployments.kubernetes.pods import Pod

MOST_PODS: Final = 20
MOST_BYTES: Final = 8 << 20  # of one look at one pod, where less leads no further
LOOK_BYTES: Final = 1 << 20
_SLACK_BYTES: Final = 1 << 12  # the API may give slightly less than it is asked for
KEPT_PODS: Final = 8  # that are gone
_LEFT_OUT: Final = b"[the pod printed more in this second than is copied]\n"


class Gatherer:
    """Copies the logs of pods.

    Args:
        cluster: Has the pods.
        folder: Where deployments live.
    """

    def __init__(self, cluster: Cluster, *, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder

    async def gather(self, tenant: str, name: str, deployment_id: str) -> None:
        """Reads on in the log of each pod of a deployment. Cancelled, it ends after the call that is under way.

        Raises:
            FuroshikiError: The log of some pod cannot be read; the others were.
            OSError: The disk is full.
        """
        pods = (await asyncio.to_thread(self._cluster.pods, tenant, name))[:MOST_PODS]
        folder = self._folder / deployment_id
        failed: list[FuroshikiError] = []
        for pod in pods:
            try:
                await asyncio.to_thread(self._read_pod, folder, pod)
            except FuroshikiError as error:  # its node is away, say: the others have logs, too
                failed.append(error)
        await asyncio.to_thread(self._forget, folder, pods)
        if failed:
            raise failed[0]

    def _read_pod(self, folder: Path, pod: Pod) -> None:
        with held(folder / pod.name) as log:
            if log is not None:
                self._read_on(pod, log)

    def _read_on(self, pod: Pod, log: PodLog) -> None:
        if pod.restarts > log.progress.restarts and not self._look(pod, log, previous=True):
            return
        self._look(pod, log, previous=False)

    def _look(self, pod: Pod, log: PodLog, *, previous: bool) -> bool:
        """Reads on in one container's log; whether that was all of it."""
        place, restarts = log.progress.place, log.progress.restarts
        printed = partial(self._cluster.printed, pod.name, since=place.since, previous=previous)
        data = printed(limit=LOOK_BYTES)
        full = len(data) > LOOK_BYTES - _SLACK_BYTES
        lines, at = unread(data, place, ended=previous and not full)
        if full and not lines:
            data = printed(limit=MOST_BYTES)
            full = len(data) > MOST_BYTES - _SLACK_BYTES
            lines, at = unread(data, place, ended=False)
            if full and not lines:
                lines, at = _LEFT_OUT, place.next_second
        done = previous and not full
        if lines or done:
            log.add(lines, at, restarts=pod.restarts if done else restarts)
        return not full

    def _forget(self, folder: Path, pods: Sequence[Pod]) -> None:
        """Removes the logs of pods that have been gone for longest."""
        there = {each.name for each in pods}
        gone = [path for path in folder.glob("*") if path.name not in there]
        gone.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in gone[KEPT_PODS:]:
            shutil.rmtree(path, ignore_errors=True)
