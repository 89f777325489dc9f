# SPDX-License-Identifier: Apache-2.0
"""What there is of deployments, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from furoshiki.jobs import JobError


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentLimits:
    """What one instance may use at most."""

    cpus: float | None = None  # None: no limit
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentInstance:
    """One instance of a deployment."""

    run: str
    revision: int
    state: str  # "starting", "ready" or "ending"
    host: str
    url: str | None = None
    pid: int | None = None

    @property
    def summary(self) -> str:
        """A few words."""
        where = f"on {self.host}" if self.url is None else f"at {self.url}"
        return f"{self.run} {self.state} {where} (revision {self.revision})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A Bento or an image on a target: what is wanted, and what there is of it."""

    name: str
    tenant: str
    build_id: str  # of the Bento, or of the Bento inside the image
    image_id: str | None = None  # None: the Bento itself is served
    model: str
    version: int
    digest: str | None = None
    target: str
    auth: str  # "api_key" or "open"
    limits: DeploymentLimits = DeploymentLimits()
    state: str  # "pending", "starting", "running", "stopping", "stopped" or "failed"
    replicas: int = 1  # how many instances are wanted
    revision: int = 1  # what is wanted
    serving_revision: int | None = None  # what serves; None: nothing does
    instances: tuple[DeploymentInstance, ...] = ()  # of machines; a cluster keeps its own
    drift: tuple[str, ...] = ()  # how it differs from what is wanted; empty: it does not
    url: str | None = None  # where its first instance answers, or its Service inside a cluster; None while none does
    pid: int | None = None
    job_id: str | None = None
    error: JobError | None = None  # why it failed; of one that runs, why it is not as wanted
    created_at: datetime
    updated_at: datetime
    # Of one that was asked for by name, or changed: to change it only if it is as it was then.
    etag: str | None = field(default=None, compare=False)

    @property
    def runs(self) -> tuple[str, ...]:
        """What its instances are called."""
        return tuple(each.run for each in self.instances)

    @property
    def ready(self) -> str:
        """How many instances are ready, of how many; of pods what the registry last knew: none, all, or some (``?``)."""
        if self.target == "kubernetes":
            known = 0 if self.state != "running" else "?" if self.drift else self.replicas
            return f"{known}/{self.replicas}"
        return f"{sum(each.state == 'ready' for each in self.instances)}/{self.replicas}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRevision:
    """What was wanted of a deployment, from some time on."""

    revision: int
    build_id: str
    image_id: str | None = None
    model: str
    version: int
    digest: str | None = None
    target: str
    auth: str
    limits: DeploymentLimits = DeploymentLimits()
    reason: str = ""
    created_by: str  # name of the API key that asked
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentEvent:
    """Something that happened to a deployment."""

    kind: str
    message: str
    at: datetime
