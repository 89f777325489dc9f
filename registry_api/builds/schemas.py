# SPDX-License-Identifier: Apache-2.0
"""Builds as the API speaks of them."""

from __future__ import annotations

from pydantic import Field

from registry_api.builds.values import Build, BuildState
from registry_api.conversions.variants.values import Objective
from registry_api.http.fields import Device, Incoming, Name, Outgoing, Timestamp, Variant, VersionNumber
from registry_api.jobs.schemas import FaultOut


class BuildIn(Incoming):
    """A build to be made."""

    model: Name
    version: VersionNumber | None = Field(default=None, description="Left out: the one in PRODUCTION, else the newest.")
    variant: Variant | None = Field(default=None, description="Left out: as `objective` says.")
    device: Device = Field(default="cpu", description="Where it is to run, if no variant is named.")
    objective: Objective = Field(
        default=Objective.SOURCE,
        description="`source`: what was uploaded; where no runner loads that, the fastest variant.",
    )


class BuildOut(Outgoing):
    """A build."""

    id: str
    tenant: str
    model: str
    version: int
    variant: str
    state: BuildState
    tag: str | None = Field(description="BentoML's name of the result.", examples=["acme.digits:v3-onnx-fp32-cpu"])
    size: int | None = Field(description="Bytes of the Bento's files.")
    digest: str | None = Field(description="Of the Bento's signed manifest.")
    archive_digest: str | None = Field(description="Of the tar with its files.")
    key_id: str | None = Field(description="The key that signed it.")
    job_id: str
    created_at: Timestamp
    finished_at: Timestamp | None
    error: FaultOut | None

    @classmethod
    def of(cls, build: Build) -> BuildOut:
        """Shows a build."""
        bento = build.bento
        return cls(
            id=build.id,
            tenant=build.source.tenant,
            model=build.source.model,
            version=build.source.version,
            variant=build.source.variant,
            state=build.state,
            tag=None if bento is None else bento.tag,
            size=None if bento is None else bento.size,
            digest=None if bento is None else bento.digest,
            archive_digest=None if bento is None else bento.archive_digest,
            key_id=None if bento is None else bento.key_id,
            job_id=build.job.id,
            created_at=build.created_at,
            finished_at=build.job.finished_at,
            error=FaultOut.of(build.job.error),
        )
