# SPDX-License-Identifier: Apache-2.0
"""The port of deployment targets, and the folders of a deployment on a machine.

    <deployments>/<deployment id>/<run id>/bento      what is served: the verified files, manifest.json, model.sig
    <deployments>/<deployment id>/<run id>/image      or this: the OCI layout with the verified image
    <deployments>/<deployment id>/<run id>/bentoml    BENTOML_HOME of its processes
    <deployments>/<deployment id>/<instance>/logs     what they wrote; of pods too, whose instance is the pod's name

Every process of a deployment carries three variables (a container: labels): which deployment it is, so that whatever an
earlier worker left running can be found; which start of it, so that a worker ends only what it means; and ``<deployments>``,
so that the workers of two registries on one machine leave each other's alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from artifacts.digest import Digest
from registry_api.deployments.values import UNLIMITED, AuthMode, Limits, Template

LOGS: Final = "logs"
DEPLOYMENT_VARIABLE: Final = "FUROSHIKI_DEPLOYMENT_ID"
RUN_VARIABLE: Final = "FUROSHIKI_DEPLOYMENT_RUN"
FOLDER_VARIABLE: Final = "FUROSHIKI_DEPLOYMENT_FOLDER"
AUTH_VARIABLE: Final = "FUROSHIKI_AUTH__MODE"  # who may call


def log_folder(deployments: Path, deployment_id: str, run: str) -> Path:
    """Where the log of one start of a deployment is, or of one pod: its name is then the pod's."""
    return deployments / deployment_id / run / LOGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One start of a deployment."""

    deployment_id: str
    run: str
    folder: Path  # <deployments>/<deployment id>/<run id>
    auth: AuthMode
    image: Digest | None = None  # of the manifest of the image to run; None: the Bento is served
    limits: Limits = UNLIMITED

    @property
    def bento(self) -> Path:
        """What is served."""
        return self.folder / "bento"

    @property
    def layout(self) -> Path:
        """The OCI layout that holds the image."""
        return self.folder / "image"

    @property
    def logs(self) -> Path:
        """What its processes wrote."""
        return self.folder / LOGS


def launch_of(deployments: Path, deployment_id: str, run: str, template: Template) -> Launch:
    """The start ``run`` of a deployment, made of ``template``."""
    return Launch(
        deployment_id=deployment_id,
        run=run,
        folder=deployments / deployment_id / run,
        auth=template.auth,
        image=None if template.image_id is None else template.digest,
        limits=template.limits,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Processes that were started, not yet proven ready."""

    url: str
    pid: int  # of the first process, which leads the group


class Target(Protocol):
    """Starts and ends processes. Methods may block for seconds: call them in a thread."""

    def start(self, launch: Launch) -> Started:
        """Starts serving ``launch.bento`` or ``launch.image``; returns at once.

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

    def runs(self) -> Mapping[str, str]:
        """Every start of this registry that something on this machine belongs to: deployment id by run."""
        ...

    def differences(self, launches: Sequence[Launch]) -> Mapping[str, str]:
        """How what runs here differs from how it was to be started, in words, by run.

        What does not differ is not in it, nor what does not run.
        """
        ...

    def end_run(self, run: str, pid: int | None) -> None:
        """Ends every process of one start: politely, then for good. Does nothing if there are none."""
        ...

    def end_all(self, deployment_id: str) -> None:
        """Ends every process of every start of a deployment at once."""
        ...
