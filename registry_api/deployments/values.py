# SPDX-License-Identifier: Apache-2.0
"""Deployments as values: what is wanted of one, and what there is of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from artifacts.digest import Digest
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.wording import counted
from registry_api.jobs.interface import Fault


class TargetKind(StrEnum):
    """Where a deployment runs."""

    PROCESS = "process"  # a Bento by `bentoml serve` on the worker's machine, on loopback
    PODMAN = "podman"  # an image in containers on the worker's machine, on loopback
    KUBERNETES = "kubernetes"  # an image in pods of a cluster

    @property
    def clustered(self) -> bool:
        """Whether a cluster keeps its instances, and not the workers: there are no rows of them."""
        return self is TargetKind.KUBERNETES


class AuthMode(StrEnum):
    """Who may call a deployment."""

    API_KEY = "api_key"  # callers with a key of the tenant that may infer
    OPEN = "open"  # everybody on this machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one instance of a deployment may use at most."""

    cpus: float | None = None  # None: no limit
    memory_bytes: int | None = None


UNLIMITED: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What every instance is made of. Another template is another revision."""

    build_id: str  # of the Bento, or of the Bento inside the image
    image_id: str | None = None  # None: the Bento itself is served
    model: str
    version: int
    digest: Digest  # of the manifest of the image, else of the Bento
    target: TargetKind
    auth: AuthMode
    limits: Limits = UNLIMITED


NO_REVISION: Final = 0
"""Of an instance that is not what its revision says any more: it goes on until another one has taken its place."""


class InstanceState(StrEnum):
    """Where one instance is."""

    STARTING = "starting"  # not yet proven ready; nobody is sent to it
    READY = "ready"  # it answered a real inference
    ENDING = "ending"  # to be ended by a worker of its machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One start of a deployment that may exist."""

    run: str  # id of this start; in the environment of each of its processes
    revision: int  # whose template it was made of
    host: str  # the machine
    url: str | None = None  # None: does not answer yet
    pid: int | None = None  # of the first process; None: not started yet
    state: InstanceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment as stored: what is wanted, and its instances."""

    id: str
    tenant: str
    name: str
    template: Template
    replicas: int  # how many instances are wanted
    revision: int  # of the template
    serving_revision: int | None  # the last one that was ready; None: none ever was
    state: DeploymentState
    instances: tuple[Instance, ...]  # oldest first; none of one in a cluster
    run: str | None  # of the newest start, whose log is shown; None: never started
    address: str | None = None  # of one in a cluster: its Service; None: instances have addresses of their own
    job_id: str  # of the job that last worked for it
    error: Fault | None  # what is not as wanted; None: nothing
    created_at: datetime
    updated_at: datetime

    @property
    def goal(self) -> int:
        """The revision that instances should be of: after an update that failed, the one that serves."""
        if self.error is not None and self.serving_revision is not None:
            return self.serving_revision
        return self.revision

    @property
    def ready(self) -> tuple[Instance, ...]:
        """Instances that answer, those of the revision that serves first."""
        ready = [each for each in self.instances if each.state is InstanceState.READY]
        return tuple(sorted(ready, key=lambda each: each.revision != self.serving_revision))

    @property
    def answers(self) -> bool:
        """Whether anything of it answers, as far as is known."""
        return self.state is DeploymentState.RUNNING if self.template.target.clustered else bool(self.ready)

    @property
    def url(self) -> str | None:
        """Where it answers first; None while nothing does."""
        if self.template.target.clustered:
            return self.address if self.answers else None
        return self.ready[0].url if self.ready else None

    @property
    def settled(self) -> bool:
        """Whether there is what should be: so many ready instances of the right revision; others are on their way out."""
        if self.template.target.clustered:
            return self.answers and self.serving_revision == self.goal
        right = [each for each in self.ready if each.revision == self.goal]
        others = [each for each in self.instances if each not in right and each.state is not InstanceState.ENDING]
        return len(right) == self.replicas and not others

    @property
    def drift(self) -> tuple[str, ...]:
        """How it differs from what is wanted, in words; empty: it does not."""
        if self.state.over:
            return ()
        if self.template.target.clustered:
            return self._drift_in_cluster()
        serving = sum(each.revision == self.revision for each in self.ready)
        other = len(self.ready) - serving
        told = (
            []
            if serving >= self.replicas
            else [f"{serving} of {self.replicas} instances of revision {self.revision} ready"]
        )
        if other or serving > self.replicas:
            told.append(f"{counted(other + max(0, serving - self.replicas), 'instance')} too many")
        return tuple(told)

    def _drift_in_cluster(self) -> tuple[str, ...]:
        if not self.answers:
            return (f"no pod of revision {self.revision} is known to be ready",)
        if self.serving_revision != self.revision:
            return (f"revision {self.serving_revision} serves instead of {self.revision}",)
        return () if self.error is None else ("the cluster has not got as far as is wanted",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeployment:
    """What a caller asks for. Exactly one of ``build_id`` and ``image_id`` is given."""

    tenant: str
    name: str
    build_id: str | None = None
    image_id: str | None = None
    target: TargetKind = TargetKind.PODMAN  # of an image; builds run as processes
    auth: AuthMode = AuthMode.API_KEY
    replicas: int = 1
    limits: Limits = UNLIMITED  # of images only


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be different. None: as it is."""

    build_id: str | None = None
    image_id: str | None = None
    auth: AuthMode | None = None
    replicas: int | None = None
    limits: Limits | None = None
