# SPDX-License-Identifier: Apache-2.0
"""The port of deployment targets, and the folders of a deployment on a machine.

    <deployments>/<deployment id>/<run id>/bento      what is served: the verified files, manifest.json, model.sig
    <deployments>/<deployment id>/<run id>/bentoml    BENTOML_HOME of its processes
    <deployments>/<deployment id>/<run id>/logs       what they wrote

Every process of a deployment carries two variables: which deployment it is, so that whatever an earlier worker left
running can be found, and which start of it, so that a worker ends only what it started itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from registry_api.deployments.values import AuthMode

DEPLOYMENT_VARIABLE: Final = "FUROSHIKI_DEPLOYMENT_ID"
RUN_VARIABLE: Final = "FUROSHIKI_DEPLOYMENT_RUN"


def log_folder(deployments: Path, deployment_id: str, run: str) -> Path:
    """Where one start of a deployment writes its log."""
    return deployments / deployment_id / run / "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One start of a deployment."""

    deployment_id: str
    run: str
    folder: Path  # <deployments>/<deployment id>/<run id>
    auth: AuthMode

    @property
    def bento(self) -> Path:
        """What is served."""
        return self.folder / "bento"

    @property
    def logs(self) -> Path:
        """What its processes wrote."""
        return self.folder / "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Processes that were started, not yet proven ready."""

    url: str
    pid: int  # of the first process, which leads the group


class Target(Protocol):
    """Starts and ends processes. Methods may block for seconds: call them in a thread."""

    def start(self, launch: Launch) -> Started:
        """Starts serving ``launch.bento``; returns at once.

        Raises:
            OSError: The machine refuses another process.
        """
        ...

    def alive(self, run: str, pid: int) -> bool:
        """Whether process ``pid`` exists and belongs to this start."""
        ...

    def answers(self, run: str, url: str) -> bool:
        """Whether it is a process of this start that listens at ``url``, and nobody else."""
        ...

    def end_run(self, run: str, pid: int | None) -> None:
        """Ends every process of one start: politely, then for good. Does nothing if there are none."""
        ...

    def end_all(self, deployment_id: str) -> None:
        """Ends every process of every start of a deployment at once."""
        ...
