# SPDX-License-Identifier: Apache-2.0
"""Tables of models, versions and variants. Each row carries its tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry_api.db.columns import Json, RowId
from registry_api.db.engine import Base


def _due(table: str) -> Index:
    """Finds what is to be purged, without a line for what is not."""
    deleted = text("purge_at IS NOT NULL")
    return Index(f"ix_{table}_purge_at", "purge_at", sqlite_where=deleted, postgresql_where=deleted)


class ModelRow(Base):
    """One model; ``last_version`` is the highest number ever given to a version, 0 before the first.

    A model that was purged keeps its row, so that a later model of that name goes on counting.
    """

    __tablename__ = "models"
    __table_args__ = (
        UniqueConstraint("tenant", "name"),
        Index(None, "tenant", "created_at", "id"),
        Index(None, "tenant", "updated_at", "id"),
        _due("models"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    name: Mapped[str] = mapped_column(String(63))
    description: Mapped[str] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(Json)
    last_version: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(200))
    deletion_reason: Mapped[str | None] = mapped_column(Text)
    purge_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]


class VersionRow(Base):
    """One version. The partial index allows one PRODUCTION per model."""

    __tablename__ = "versions"
    __table_args__ = (
        UniqueConstraint("model_id", "version"),
        CheckConstraint("stage IN ('DEVELOPMENT', 'STAGING', 'PRODUCTION', 'DEPRECATED')", name="stage"),
        Index(
            "uq_versions_production",
            "model_id",
            unique=True,
            sqlite_where=text("stage = 'PRODUCTION'"),
            postgresql_where=text("stage = 'PRODUCTION'"),
        ),
        Index(None, "model_id", "stage", "version"),
        Index(None, "model_id", "format", "version"),
        _due("versions"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"), index=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    version: Mapped[int] = mapped_column(BigInteger)
    stage: Mapped[str] = mapped_column(String(16))
    format: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(71))
    signature_digest: Mapped[str] = mapped_column(String(71))
    key_id: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    inputs: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    outputs: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    labels: Mapped[dict[str, str]] = mapped_column("metadata", Json)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))
    created_by_key: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(Json)
    deprecated_at: Mapped[datetime | None]
    sunset_at: Mapped[datetime | None]
    deprecation_message: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(String(200))
    deletion_reason: Mapped[str | None] = mapped_column(Text)
    purge_at: Mapped[datetime | None]

    files: Mapped[list[VersionFileRow]] = relationship(order_by="VersionFileRow.position", lazy="raise")
    variants: Mapped[list[VariantRow]] = relationship(order_by="VariantRow.id", lazy="raise")


class VersionFileRow(Base):
    """One file of a version, in the manifest's order."""

    __tablename__ = "version_files"
    __table_args__ = (Index(None, "tenant", "digest"),)

    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    path: Mapped[str] = mapped_column(String(1024))
    size: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(71))


class VariantRow(Base):
    """One signed variant of a version."""

    __tablename__ = "variants"
    __table_args__ = (UniqueConstraint("version_id", "name"), Index(None, "tenant", "digest"))

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    name: Mapped[str] = mapped_column(String(100))
    format: Mapped[str] = mapped_column(String(32))
    precision: Mapped[str] = mapped_column(String(32))
    device: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(71))
    signature_digest: Mapped[str] = mapped_column(String(71))
    key_id: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[bool]
    created_at: Mapped[datetime]


class SourceColumns:
    """Columns that say of which variant something is made: a :class:`registry_api.models.source.Source`."""

    model: Mapped[str] = mapped_column(String(63))
    version: Mapped[int] = mapped_column(BigInteger)
    variant: Mapped[str] = mapped_column(String(100))
    format: Mapped[str] = mapped_column(String(32))
    variant_digest: Mapped[str] = mapped_column(String(71))
    variant_signature_digest: Mapped[str] = mapped_column(String(71))


class AliasRow(Base):
    """A movable name of one version of a model."""

    __tablename__ = "aliases"
    __table_args__ = (Index(None, "tenant"),)

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"))
    moved_at: Mapped[datetime]
    moved_by: Mapped[str] = mapped_column(String(200))
