# SPDX-License-Identifier: Apache-2.0
"""Machines of one kernel: each has its own host name and sees its own processes only. They share network and disk."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Self

import psutil

from tests.integration.registry_api.deployments.podman.waiting import until

_INIT = 'hostname "$0"; while true; do sleep 600 & wait "$!"; done'  # a shell reaps what nobody else does


class Machine:
    """A context manager; with it everything on the machine ends.

    Args:
        name: Its host name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._space = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child", "bash", "-c", _INIT, name]
        )

    def __enter__(self) -> Self:
        until(lambda: len(psutil.Process(self._space.pid).children(recursive=True)) > 1)  # it sleeps: it has its name
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._space.kill()
        self._space.wait()

    @property
    def inside(self) -> tuple[str, ...]:
        """Runs a command on it, in the working folder of this process."""
        (first,) = psutil.Process(self._space.pid).children()
        return ("nsenter", "--target", str(first.pid), "--pid", "--uts", "--mount", "--wd", "--")


def kill_worker(worker: subprocess.Popen[bytes]) -> None:
    """kill -9 of a worker that runs on a machine, and of nothing else."""
    for process in psutil.Process(worker.pid).children():
        process.kill()
    worker.wait()
