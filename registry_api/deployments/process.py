# SPDX-License-Identifier: Apache-2.0
"""The target ``process``: ``bentoml serve`` on this machine, on a free port of the loopback interface.

BentoML's supervisor gives each worker its own session, so a process group does not hold a deployment together: its
processes are found by their environment. They get an explicit environment without any secret and outlive the worker
that started them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from registry_api.deployments.supervised import (
    LOOPBACK,
    Supervised,
    auth_in,
    free_port,
    listens,
    marks_of,
    runs_in,
    settings_of,
)
from registry_api.deployments.target import AUTH_VARIABLE, DEPLOYMENT_VARIABLE, RUN_VARIABLE, Launch, Started
from registry_api.jobs.process import end_by_variable, find_by_variable, plain_environment, wait_gone


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """What every deployed process is told."""

    folder: Path  # <deployments>: whose processes these are
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
        self._supervised = Supervised()

    def start(self, launch: Launch) -> Started:
        """Starts ``bentoml serve`` under a supervisor that keeps its log."""
        port = self._choose_port()
        serve = [sys.executable, "-m", "bentoml", "serve", str(launch.bento), "--host", LOOPBACK, "--port", str(port)]
        pid = self._supervised.start(launch, serve, environment=self._environment(launch))
        return Started(url=f"http://{LOOPBACK}:{port}", pid=pid)

    def alive(self, run: str, pid: int) -> bool:
        """Whether process ``pid`` exists and belongs to this start; a number used again by another process does not."""
        return self._supervised.alive(run, pid)

    def answers(self, run: str, url: str) -> bool:
        """Whether a process of this start listens at ``url``."""
        return listens(run, url)

    def runs(self) -> Mapping[str, str]:
        """Every start of this registry that a process here belongs to: deployment id by run."""
        self._supervised.reap()
        return runs_in(self._options.folder)

    def differences(self, launches: Sequence[Launch]) -> Mapping[str, str]:
        """Who may call; what they serve is verified by the processes themselves."""
        found = auth_in(self._options.folder) if launches else {}
        return {
            each.run: f"{AUTH_VARIABLE} is {found[each.run]} instead of {each.auth}"
            for each in launches
            if found.get(each.run, each.auth) != each.auth
        }

    def end_run(self, run: str, pid: int | None) -> None:
        """Asks the first process to end, waits, then kills whatever is left of this start."""
        if pid is not None and self._supervised.ask_to_end(run, pid):
            wait_gone(list(find_by_variable(RUN_VARIABLE, run)), seconds=self._options.grace_seconds)
        end_by_variable(RUN_VARIABLE, run)
        self._supervised.reap()

    def end_all(self, deployment_id: str) -> None:
        """Kills every process of the deployment, whoever started it."""
        end_by_variable(DEPLOYMENT_VARIABLE, deployment_id)
        self._supervised.reap()

    def _environment(self, launch: Launch) -> dict[str, str]:
        own = {"BENTOML_HOME": str(launch.folder / "bentoml"), **marks_of(launch, self._options.folder)}
        told = settings_of(launch, trust_dir=self._options.trust_dir, registry_url=self._options.registry_url)
        return plain_environment() | told | own
