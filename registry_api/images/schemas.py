# SPDX-License-Identifier: Apache-2.0
"""Images as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from registry_api.builds.values import BuildState
from registry_api.http.fields import Incoming, Outgoing, Timestamp
from registry_api.images.values import BuilderName, DeviceClass, Image, ImageBlob
from registry_api.jobs.schemas import FaultOut

BuildId: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-z-]+$", min_length=1, max_length=64)]
Architecture: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=16, examples=["amd64", "arm64"])]


class ImageIn(Incoming):
    """An image to be made."""

    build_id: BuildId = Field(description="The build whose Bento goes in.")
    builder: BuilderName = Field(
        default=BuilderName.AUTO,
        description="`buildah`, `layers` or `bentoml`; `auto` takes whichever fits, and the image says which and why.",
    )
    device: DeviceClass = Field(default=DeviceClass.CPU, description="Which base image it is built on.")
    architecture: Architecture = Field(default="amd64", description="Of the processor, in Go's names.")


class LayerOut(Outgoing):
    """One layer of an image."""

    name: str = Field(
        description="`base`, `dependencies`, `code`, `release` or `model`; `other` for what BentoML made.",
        examples=["model"],
    )
    digest: str = Field(description="Of its blob.")
    size: int = Field(description="Bytes of its blob.")
    cached: bool = Field(description="Whether it was taken from an earlier build.")

    @classmethod
    def of(cls, blob: ImageBlob) -> LayerOut:
        """Shows a layer."""
        return cls(name=blob.layer or "", digest=blob.digest, size=blob.size, cached=blob.cached)


class ImageOut(Outgoing):
    """An image."""

    id: str
    tenant: str
    build_id: str
    model: str
    version: int
    variant: str
    state: BuildState
    device: str
    architecture: str
    builder: str = Field(description="That made it; until then, as asked for.", examples=["layers"])
    builder_version: str | None
    reason: str | None = Field(description="Why this builder.")
    platform: str | None = Field(examples=["linux/amd64"])
    digest: str | None = Field(description="Of the image's manifest: its name everywhere.")
    compressed_bytes: int | None = Field(description="Of all layers.")
    layers: list[LayerOut] = Field(description="The lowest first.")
    base: str | None = Field(description="Digest of the manifest of the image it is built on.")
    key_id: str | None = Field(description="The key that signed it.")
    job_id: str
    created_at: Timestamp
    finished_at: Timestamp | None
    error: FaultOut | None

    @classmethod
    def of(cls, image: Image) -> ImageOut:
        """Shows an image."""
        made, source = image.made, image.source
        return cls(
            id=image.id,
            tenant=source.tenant,
            build_id=image.build_id,
            model=source.model,
            version=source.version,
            variant=source.variant,
            state=image.state,
            device=image.device,
            architecture=image.architecture,
            builder=image.builder if made is None else made.builder,
            builder_version=None if made is None else made.builder_version,
            reason=None if made is None else made.reason,
            platform=None if made is None else made.platform,
            digest=None if made is None else made.digest,
            compressed_bytes=None if made is None else made.compressed_bytes,
            layers=[] if made is None else [LayerOut.of(blob) for blob in made.layers],
            base=None if made is None else made.base,
            key_id=None if made is None else made.key_id,
            job_id=image.job.id,
            created_at=image.created_at,
            finished_at=image.job.finished_at,
            error=FaultOut.of(image.job.error),
        )
