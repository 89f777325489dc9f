# SPDX-License-Identifier: Apache-2.0
"""Deployments, their revisions and what happened to them, as the API shows them."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import Field

from registry_api.deployments.history.values import Happening, HappeningKind, Revision
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import AuthMode, Deployment, Instance, InstanceState, TargetKind
from registry_api.http.fields import Outgoing, Timestamp
from registry_api.jobs.schemas import FaultOut


class LimitsOut(Outgoing):
    """What one instance may use at most; null: no limit."""

    cpus: float | None
    memory_bytes: int | None


class InstanceOut(Outgoing):
    """One instance."""

    run: str
    revision: int
    state: InstanceState
    host: str
    url: str | None
    pid: int | None = Field(description="Of its first process.")

    @classmethod
    def of(cls, instance: Instance) -> InstanceOut:
        """Shows an instance."""
        return cls(
            run=instance.run,
            revision=instance.revision,
            state=instance.state,
            host=instance.host,
            url=instance.url,
            pid=instance.pid,
        )


class TemplateOut(Outgoing):
    """What instances are made of."""

    build_id: str = Field(description="Of the Bento, or of the Bento inside the image.")
    image_id: str | None
    model: str
    version: int
    digest: str = Field(description="Of the signed manifest of the image, else of the Bento.")
    target: TargetKind
    auth: AuthMode
    limits: LimitsOut


class DeploymentOut(TemplateOut):
    """A deployment."""

    name: str
    tenant: str
    state: DeploymentState
    replicas: int = Field(description="How many instances are wanted.")
    revision: int = Field(description="What is wanted.")
    serving_revision: int | None = Field(description="What serves; another one while an update is under way or failed.")
    instances: list[InstanceOut] = Field(
        description="Those of machines; a cluster keeps its own. Of a stopped one, what silent machines must still end."
    )
    drift: list[str] = Field(description="How it differs from what is wanted; empty: it does not.")
    url: str | None = Field(
        description="Where its first instance answers, or its Service inside a cluster; null while none does."
    )
    pid: int | None
    job_id: str = Field(description="The job that last worked for it.")
    error: FaultOut | None = Field(description="Why it failed; of one that runs, why it is not as wanted.")
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of(cls, deployment: Deployment) -> DeploymentOut:
        """Shows a deployment."""
        first = next(iter(deployment.ready), None)
        return cls(
            **asdict(deployment.template),
            name=deployment.name,
            tenant=deployment.tenant,
            state=deployment.state,
            replicas=deployment.replicas,
            revision=deployment.revision,
            serving_revision=deployment.serving_revision,
            instances=[InstanceOut.of(each) for each in deployment.instances],
            drift=list(deployment.drift),
            url=deployment.url,
            pid=None if first is None else first.pid,
            job_id=deployment.job_id,
            error=FaultOut.of(deployment.error),
            created_at=deployment.created_at,
            updated_at=deployment.updated_at,
        )


class RevisionOut(TemplateOut):
    """What was wanted of a deployment, from some time on."""

    revision: int
    reason: str
    created_by: str = Field(description="Name of the API key that asked.")
    created_at: Timestamp

    @classmethod
    def of(cls, revision: Revision) -> RevisionOut:
        """Shows a revision."""
        return cls(
            **asdict(revision.template),
            revision=revision.number,
            reason=revision.reason,
            created_by=revision.created_by,
            created_at=revision.created_at,
        )


class EventOut(Outgoing):
    """Something that happened to a deployment."""

    kind: HappeningKind
    message: str
    at: Timestamp

    @classmethod
    def of(cls, happening: Happening) -> EventOut:
        """Shows what happened."""
        return cls(kind=happening.kind, message=happening.message, at=happening.at)
