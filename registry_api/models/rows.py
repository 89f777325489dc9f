# SPDX-License-Identifier: Apache-2.0
"""Turns rows into values and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from artifacts.manifest import FileEntry
from core.tensors import TensorSpec, dtype_from_oip
from registry_api.models.source import Source
from registry_api.models.tables import ModelRow, SourceColumns, VariantRow, VersionFileRow, VersionRow
from registry_api.models.values import Deletion, Deprecation, Model, Stage, Variant, Version


def model_row(model: Model) -> ModelRow:
    """The row of a new model."""
    return ModelRow(
        tenant=model.tenant,
        name=model.name,
        description=model.description,
        tags=list(model.tags),
        last_version=0,
        created_at=model.created_at,
        updated_at=model.updated_at,
    )


def model_value(row: ModelRow, *, latest: int | None, production: int | None) -> Model:
    """The model of a row; ``latest`` and ``production`` are the numbers of its newest version and of that in PRODUCTION."""
    return Model(
        tenant=row.tenant,
        name=row.name,
        description=row.description,
        tags=tuple(row.tags),
        latest_version=latest,
        production_version=production,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_number=row.last_version,
        deletion=deletion_of(row),
    )


def version_row(version: Version, model_id: int, created_by_key: str) -> VersionRow:
    """The row of a new version, with those of its files and variants."""
    return VersionRow(
        tenant=version.tenant,
        model_id=model_id,
        version=version.version,
        stage=version.stage,
        format=version.format,
        digest=version.digest,
        signature_digest=version.signature_digest,
        key_id=version.key_id,
        size=version.size,
        inputs=[_tensor_json(spec) for spec in version.inputs],
        outputs=[_tensor_json(spec) for spec in version.outputs],
        labels=dict(version.metadata),
        created_at=version.created_at,
        created_by=version.created_by,
        created_by_key=created_by_key,
        description=version.description,
        tags=list(version.tags),
        files=[
            VersionFileRow(position=at, tenant=version.tenant, path=file.path, size=file.size, digest=file.digest)
            for at, file in enumerate(version.files)
        ],
        variants=[_variant_row(variant, version) for variant in version.variants],
    )


def version_value(row: VersionRow, model: str) -> Version:
    """The version of a row whose files and variants are loaded."""
    return Version(
        tenant=row.tenant,
        model=model,
        version=row.version,
        stage=Stage(row.stage),
        format=row.format,
        digest=row.digest,
        signature_digest=row.signature_digest,
        key_id=row.key_id,
        size=row.size,
        files=tuple(FileEntry(path=file.path, size=file.size, digest=file.digest) for file in row.files),
        inputs=_tensors(row.inputs),
        outputs=_tensors(row.outputs),
        metadata=dict(row.labels),
        created_at=row.created_at,
        created_by=row.created_by,
        variants=tuple(_variant(variant) for variant in row.variants),
        description=row.description,
        tags=tuple(row.tags),
        deprecation=_deprecation(row),
        deletion=deletion_of(row),
    )


def deletion_of(row: ModelRow | VersionRow) -> Deletion | None:
    """The deletion that a row tells of; None: it is not deleted, or purged."""
    if row.deleted_at is None or row.purge_at is None:
        return None
    return Deletion(at=row.deleted_at, by=row.deleted_by or "", reason=row.deletion_reason or "", purge_at=row.purge_at)


def source_columns(source: Source) -> dict[str, Any]:
    """The columns of a source, for a row of its tenant."""
    return {
        "model": source.model,
        "version": source.version,
        "variant": source.variant,
        "format": source.format,
        "variant_digest": source.digest,
        "variant_signature_digest": source.signature_digest,
    }


def source_value(row: SourceColumns, tenant: str) -> Source:
    """The source that a row of the tenant tells of."""
    return Source(
        tenant=tenant,
        model=row.model,
        version=row.version,
        variant=row.variant,
        format=row.format,
        digest=row.variant_digest,
        signature_digest=row.variant_signature_digest,
    )


def _deprecation(row: VersionRow) -> Deprecation | None:
    if row.deprecated_at is None:
        return None
    return Deprecation(since=row.deprecated_at, sunset=row.sunset_at, message=row.deprecation_message or "")


def _variant_row(variant: Variant, version: Version) -> VariantRow:
    return VariantRow(
        tenant=version.tenant,
        name=variant.name,
        format=variant.format,
        precision=variant.precision,
        device=variant.device,
        digest=variant.digest,
        signature_digest=variant.signature_digest,
        key_id=variant.key_id,
        size=variant.size,
        source=variant.source,
        created_at=version.created_at,
    )


def _variant(row: VariantRow) -> Variant:
    return Variant(
        name=row.name,
        format=row.format,
        precision=row.precision,
        device=row.device,
        digest=row.digest,
        signature_digest=row.signature_digest,
        key_id=row.key_id,
        size=row.size,
        source=row.source,
    )


def _tensor_json(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(spec.shape)}


def _tensors(stored: Iterable[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=item["name"], dtype=dtype_from_oip(item["datatype"]), shape=tuple(item["shape"]))
        for item in stored
    )
