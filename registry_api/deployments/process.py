# SPDX-License-Identifier: Apache-2.0
"""The target ``process``: ``bentoml serve`` on this machine, on a free port of the loopback interface.

BentoML's supervisor gives each worker its own session, so a process group does not hold a deployment together: its
processes are found by their environment. They get an explicit environment without any secret and outlive the worker
that started them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from registry_api.deployments import supervisor
from registry_api.deployments.target import DEPLOYMENT_VARIABLE, RUN_VARIABLE, Launch, Started
from registry_api.jobs.process import end_by_variable, find_by_variable, plain_environment, wait_gone

LOOPBACK: Final = "127.0.0.1"


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago; whoever uses it must be ready to lose the race."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
    return port


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """What every deployed process is told."""

    trust_dir: Path  # <tenant>.json: whose signatures count, as it is now
    registry_url: str  # where callers' keys are checked
    grace_seconds: float = 10.0  # between SIGTERM and SIGKILL


class ProcessTarget:
    """Implements :class:`registry_api.deployments.target.Target`.

    Args:
        options: What every deployed process is told.
        choose_port: Gives a port that is probably free.
    """

    def __init__(self, options: ProcessOptions, *, choose_port: Callable[[], int] = free_port) -> None:
        self._options = options
        self._choose_port = choose_port
        self._children: dict[int, subprocess.Popen[bytes]] = {}  # kept to be reaped when they end

    def start(self, launch: Launch) -> Started:
        """Starts ``bentoml serve`` under a supervisor that keeps its log."""
        port = self._choose_port()
        serve = [sys.executable, "-m", "bentoml", "serve", str(launch.bento), "--host", LOOPBACK, "--port", str(port)]
        child = subprocess.Popen(  # noqa: S603 - no shell; every part is ours
            [sys.executable, "-I", str(Path(supervisor.__file__)), str(launch.logs), "--", *serve],
            cwd=launch.folder,
            env=self._environment(launch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._children[child.pid] = child
        return Started(url=f"http://{LOOPBACK}:{port}", pid=child.pid)

    def alive(self, run: str, pid: int) -> bool:
        """Whether process ``pid`` exists and belongs to this start; a number used again by another process does not."""
        self._reap()
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(RUN_VARIABLE) == run
        return False

    def answers(self, run: str, url: str) -> bool:
        """Whether a process of this start listens at ``url``."""
        port = urlsplit(url).port
        for process in find_by_variable(RUN_VARIABLE, run):
            with suppress(psutil.Error):
                sockets = process.net_connections(kind="tcp")
                if any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets):
                    return True
        return False

    def end_run(self, run: str, pid: int | None) -> None:
        """Asks the first process to end, waits, then kills whatever is left of this start."""
        if pid is not None and self.alive(run, pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            wait_gone(list(find_by_variable(RUN_VARIABLE, run)), seconds=self._options.grace_seconds)
        end_by_variable(RUN_VARIABLE, run)
        self._reap()

    def end_all(self, deployment_id: str) -> None:
        """Kills every process of the deployment, whoever started it."""
        end_by_variable(DEPLOYMENT_VARIABLE, deployment_id)
        self._reap()

    def _environment(self, launch: Launch) -> dict[str, str]:
        return plain_environment() | {
            "BENTOML_HOME": str(launch.folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "True",
            "FUROSHIKI_SOURCE": "bundle",
            "FUROSHIKI_TRUST__DIR": str(self._options.trust_dir),
            "FUROSHIKI_AUTH__MODE": launch.auth.value,
            "FUROSHIKI_REGISTRY__URL": self._options.registry_url,
            "FUROSHIKI_LOG__STYLE": "json",
            DEPLOYMENT_VARIABLE: launch.deployment_id,
            RUN_VARIABLE: launch.run,
        }

    def _reap(self) -> None:
        for pid in [pid for pid, child in self._children.items() if child.poll() is not None]:
            del self._children[pid]
