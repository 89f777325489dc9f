# SPDX-License-Identifier: Apache-2.0
"""Conversions, what became of each candidate, the files of converted variants, and calibration data.

An accepted result has a row in ``variants``, written in the same transaction; a rejected one has none, so that nothing that
builds, deploys, promotes or serves can find it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import Json, RowId
from registry_api.db.engine import Base
from registry_api.products.tables import ProductRow


class CalibrationRow(Base):
    """Calibration data of a model; ``signature_digest`` names the blob of its signature."""

    __tablename__ = "calibrations"
    __table_args__ = (UniqueConstraint("tenant", "model", "name"),)

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of creation
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    model: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(71))
    signature_digest: Mapped[str] = mapped_column(String(71))
    key_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(200))


class ConversionRow(ProductRow):
    """One conversion of a variant. ``environment`` is set with the end of the job."""

    __tablename__ = "conversions"
    __table_args__ = (
        Index("ix_conversions_tenant_number", "tenant", "number"),
        Index("ix_conversions_tenant_model_version", "tenant", "model", "version"),
        Index("ix_conversions_tenant_variant_digest", "tenant", "variant_digest"),
    )

    target: Mapped[str] = mapped_column(String(100))
    auto: Mapped[bool]
    route: Mapped[list[str] | None] = mapped_column(Json)
    thresholds: Mapped[dict[str, float | None] | None] = mapped_column(Json)
    calibration: Mapped[str | None] = mapped_column(String(100))
    environment: Mapped[dict[str, Any] | None] = mapped_column(Json)


class ConversionResultRow(Base):
    """One candidate of a conversion, accepted or rejected, with its report and where the signed report is."""

    __tablename__ = "conversion_results"
    __table_args__ = (
        UniqueConstraint("conversion_id", "variant"),
        Index("ix_conversion_results_tenant_digest", "tenant", "digest"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    conversion_id: Mapped[str] = mapped_column(ForeignKey("conversions.id"))
    variant: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(71))
    size: Mapped[int] = mapped_column(BigInteger)
    accepted: Mapped[bool]
    reasons: Mapped[list[str]] = mapped_column(Json)
    route: Mapped[list[str]] = mapped_column(Json)
    report: Mapped[dict[str, Any]] = mapped_column(Json)
    report_digest: Mapped[str] = mapped_column(String(71))
    report_signature_digest: Mapped[str] = mapped_column(String(71))
    picture_digest: Mapped[str] = mapped_column(String(71))
    key_id: Mapped[str] = mapped_column(String(64))


class VariantFileRow(Base):
    """One file of a converted variant, in its manifest's order; the files of what was uploaded are ``version_files``."""

    __tablename__ = "variant_files"
    __table_args__ = (Index("ix_variant_files_tenant_digest", "tenant", "digest"),)

    variant_id: Mapped[int] = mapped_column(ForeignKey("variants.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    path: Mapped[str] = mapped_column(String(1024))
    size: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(71))
