# SPDX-License-Identifier: Apache-2.0
"""What targets share whose processes run on this machine: how they are started, marked, told their settings and found.

Each runs under :mod:`registry_api.deployments.supervisor`, which keeps its log and outlives the worker. Processes are found
by their environment: neither a group nor a session holds a deployment together, and neither does a container.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from registry_api.deployments import supervisor
from registry_api.deployments.target import AUTH_VARIABLE, DEPLOYMENT_VARIABLE, FOLDER_VARIABLE, RUN_VARIABLE, Launch
from registry_api.jobs.process import find_by_variable

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago; whoever uses it must be ready to lose the race."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
    return port


def marks_of(launch: Launch, deployments: Path) -> dict[str, str]:
    """The variables that every process of a start carries; ``deployments``: the folder of the registry's deployments."""
    return {
        DEPLOYMENT_VARIABLE: launch.deployment_id,
        RUN_VARIABLE: launch.run,
        FOLDER_VARIABLE: str(deployments),
    }


def settings_of(launch: Launch, *, trust_dir: Path, registry_url: str) -> dict[str, str]:
    """What the inference service of a start is told. None of it is a secret.

    Args:
        launch: The start.
        trust_dir: Where the service sees the tenants' trust policies.
        registry_url: Where callers' keys are checked.
    """
    return {
        "BENTOML_DO_NOT_TRACK": "True",
        "FUROSHIKI_SOURCE": "bundle",
        "FUROSHIKI_TRUST__DIR": str(trust_dir),
        AUTH_VARIABLE: launch.auth.value,
        "FUROSHIKI_REGISTRY__URL": registry_url,
        "FUROSHIKI_LOG__STYLE": "json",
    }


class Supervised:
    """The supervisors that this process started, and those it finds."""

    def __init__(self) -> None:
        self._children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}  # with their runs; reaped when they end

    def start(self, launch: Launch, command: Sequence[str], *, environment: Mapping[str, str]) -> int:
        """Starts ``command`` under a supervisor that keeps its log; returns the supervisor's process id.

        Raises:
            OSError: The machine refuses another process.
        """
        child = subprocess.Popen(  # noqa: S603 - no shell; every part is ours
            [sys.executable, "-I", str(Path(supervisor.__file__)), str(launch.logs), "--", *command],
            cwd=launch.folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._children[child.pid] = (launch.run, child)
        return child.pid

    def alive(self, run: str, pid: int) -> bool:
        """Whether process ``pid`` exists and belongs to this start; a number used again by another process does not.

        A child that has just been started is believed without looking: its environment is empty for a moment.
        """
        self.reap()
        if pid in self._children:
            return self._children[pid][0] == run
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(RUN_VARIABLE) == run
        return False

    def ask_to_end(self, run: str, pid: int) -> bool:
        """SIGTERM to a supervisor, which forwards it; False if it is gone."""
        if not self.alive(run, pid):
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        return True

    def reap(self) -> None:
        """Takes note of those that have ended."""
        for pid in [pid for pid, (_, child) in self._children.items() if child.poll() is not None]:
            del self._children[pid]


def listens(run: str, url: str) -> bool:
    """Whether a process of this start listens at ``url``."""
    port = urlsplit(url).port
    for process in find_by_variable(RUN_VARIABLE, run):
        with suppress(psutil.Error):
            sockets = process.net_connections(kind="tcp")
            if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets):
                return True
    return False


def runs_in(deployments: Path) -> dict[str, str]:
    """Every start of one registry that a process on this machine belongs to: deployment id by run."""
    return _told_in(deployments, DEPLOYMENT_VARIABLE)


def auth_in(deployments: Path) -> dict[str, str]:
    """Who may call each start of one registry that runs on this machine, as its processes were told; by run."""
    return _told_in(deployments, AUTH_VARIABLE)


def _told_in(deployments: Path, variable: str) -> dict[str, str]:
    """What the processes of one registry on this machine were told by a variable; by run."""
    found: dict[str, str] = {}
    for process in find_by_variable(FOLDER_VARIABLE, str(deployments)):
        with suppress(psutil.Error, OSError, KeyError):
            if process.status() != psutil.STATUS_ZOMBIE:
                variables = process.environ()
                found[variables[RUN_VARIABLE]] = variables[variable]
    return found
