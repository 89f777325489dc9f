# SPDX-License-Identifier: Apache-2.0
"""Deployments as the API speaks of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from registry_api.deployments.states import DeploymentState
from registry_api.deployments.values import AuthMode, Deployment, TargetKind
from registry_api.http.fields import Incoming, Name, Outgoing, Timestamp
from registry_api.jobs.schemas import FaultOut


class DeploymentIn(Incoming):
    """A deployment to be made."""

    name: Name
    build_id: Annotated[str, Field(pattern=r"^[0-9a-z-]+$", min_length=1, max_length=64)]
    target: TargetKind = TargetKind.PROCESS
    auth: AuthMode = Field(default=AuthMode.API_KEY, description="`open` answers everybody on the registry's machine.")


class DeploymentOut(Outgoing):
    """A deployment."""

    name: str
    tenant: str
    build_id: str
    model: str
    version: int
    digest: str = Field(description="Of the Bento's signed manifest.")
    target: TargetKind
    auth: AuthMode
    state: DeploymentState
    url: str | None = Field(description="Where it answers; null while it does not.")
    pid: int | None
    job_id: str = Field(description="The job that last worked for it.")
    error: FaultOut | None
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of(cls, deployment: Deployment) -> DeploymentOut:
        """Shows a deployment."""
        place = deployment.place
        return cls(
            name=deployment.name,
            tenant=deployment.tenant,
            build_id=deployment.build_id,
            model=deployment.model,
            version=deployment.version,
            digest=deployment.digest,
            target=deployment.target,
            auth=deployment.auth,
            state=deployment.state,
            url=None if place is None else place.url,
            pid=None if place is None else place.pid,
            job_id=deployment.job_id,
            error=FaultOut.of(deployment.error),
            created_at=deployment.created_at,
            updated_at=deployment.updated_at,
        )
