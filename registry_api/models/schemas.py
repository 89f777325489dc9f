# SPDX-License-Identifier: Apache-2.0
"""Models and versions as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field

from artifacts.manifest import FileEntry
from core.tensors import TensorSpec
from registry_api.http.fields import Incoming, Name, Outgoing, Tag, Text, Timestamp
from registry_api.models.tags import MAX_TAGS
from registry_api.models.values import Deletion, Deprecation, Model, Stage, Variant, Version

Tags: TypeAlias = Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)]


class ModelIn(Incoming):
    """A model to be made."""

    name: Name
    description: Text = ""
    tags: Tags = ()

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "digits", "description": "Handwritten digits, 8x8.", "tags": ["team:vision", "demo"]}]
        }
    )


class DescriptionIn(Incoming):
    """What is to be changed of a model or a version; what is missing stays as it is."""

    description: Text | None = None
    tags: Tags | None = Field(default=None, description="Replaces all tags but the platform's.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"tags": ["team:vision", "dataset:optdigits"]}]})


class DeletionOut(Outgoing):
    """Something that was deleted and can be restored until it is purged."""

    at: Timestamp
    by: str = Field(description="Name of the API key.")
    reason: str
    purge_at: Timestamp = Field(description="The first sweep after this removes it for good.")

    @classmethod
    def of(cls, deletion: Deletion) -> DeletionOut:
        """Shows a deletion."""
        return cls(at=deletion.at, by=deletion.by, reason=deletion.reason, purge_at=deletion.purge_at)


class ModelOut(Outgoing):
    """A model."""

    tenant: str
    name: str
    description: str
    tags: list[str]
    latest_version: int | None
    production_version: int | None
    created_at: Timestamp
    updated_at: Timestamp
    deletion: DeletionOut | None = Field(description="Null: it is not deleted.")

    @classmethod
    def of(cls, model: Model) -> ModelOut:
        """Shows a model."""
        return cls(
            tenant=model.tenant,
            name=model.name,
            description=model.description,
            tags=list(model.tags),
            latest_version=model.latest_version,
            production_version=model.production_version,
            created_at=model.created_at,
            updated_at=model.updated_at,
            deletion=None if model.deletion is None else DeletionOut.of(model.deletion),
        )


class FileOut(Outgoing):
    """One file."""

    path: str
    size: int = Field(description="Bytes.")
    digest: str

    @classmethod
    def of(cls, entry: FileEntry) -> FileOut:
        """Shows a file."""
        return cls(path=entry.path, size=entry.size, digest=entry.digest)


class TensorOut(Outgoing):
    """One input or output; -1 in `shape` is a dimension of any size."""

    name: str
    datatype: str
    shape: list[int]

    @classmethod
    def of(cls, spec: TensorSpec) -> TensorOut:
        """Shows a tensor."""
        return cls(name=spec.name, datatype=spec.dtype.oip, shape=list(spec.shape))


class VariantOut(Outgoing):
    """One executable form of a version."""

    name: str = Field(examples=["onnx-fp32/cpu"])
    format: str
    precision: str
    device: str
    digest: str = Field(description="Of its manifest.")
    key_id: str = Field(description="The key that signed it.")
    size: int = Field(description="Bytes of its files.")
    source: bool = Field(description="Whether it is what was uploaded.")

    @classmethod
    def of(cls, variant: Variant) -> VariantOut:
        """Shows a variant."""
        return cls(
            name=variant.name,
            format=variant.format,
            precision=variant.precision,
            device=variant.device,
            digest=variant.digest,
            key_id=variant.key_id,
            size=variant.size,
            source=variant.source,
        )


class DeprecationOut(Outgoing):
    """A version that is not to be used any more."""

    since: Timestamp
    sunset: Timestamp | None = Field(description="When it may stop being served.")
    message: str = Field(description="What to use instead.")

    @classmethod
    def of(cls, deprecation: Deprecation) -> DeprecationOut:
        """Shows a deprecation."""
        return cls(since=deprecation.since, sunset=deprecation.sunset, message=deprecation.message)


class VersionOut(Outgoing):
    """One registered version."""

    tenant: str
    model: str
    version: int
    stage: Stage
    format: str
    digest: str = Field(description="Of its manifest.")
    key_id: str = Field(description="The key that signed it.")
    size: int = Field(description="Bytes of its files.")
    files: list[FileOut]
    inputs: list[TensorOut]
    outputs: list[TensorOut]
    metadata: dict[str, str]
    created_at: Timestamp
    created_by: str = Field(description="Name of the API key that registered it.")
    variants: list[VariantOut]
    description: str
    tags: list[str]
    deprecation: DeprecationOut | None = Field(description="Null: it is not deprecated.")
    deletion: DeletionOut | None = Field(description="Null: it is not deleted.")

    @classmethod
    def of(cls, version: Version) -> VersionOut:
        """Shows a version."""
        return cls(
            tenant=version.tenant,
            model=version.model,
            version=version.version,
            stage=version.stage,
            format=version.format,
            digest=version.digest,
            key_id=version.key_id,
            size=version.size,
            files=[FileOut.of(entry) for entry in version.files],
            inputs=[TensorOut.of(spec) for spec in version.inputs],
            outputs=[TensorOut.of(spec) for spec in version.outputs],
            metadata=dict(version.metadata),
            created_at=version.created_at,
            created_by=version.created_by,
            variants=[VariantOut.of(variant) for variant in version.variants],
            description=version.description,
            tags=list(version.tags),
            deprecation=None if version.deprecation is None else DeprecationOut.of(version.deprecation),
            deletion=None if version.deletion is None else DeletionOut.of(version.deletion),
        )
