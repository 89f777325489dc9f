# SPDX-License-Identifier: Apache-2.0
"""Builds. What a build became is written once, with the end of its job."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import RowId
from registry_api.db.engine import Base


class BuildRow(Base):
    """One build; the columns from ``tag`` on are set together."""

    __tablename__ = "builds"
    __table_args__ = (
        Index("ix_builds_tenant_number", "tenant", "number"),
        Index("ix_builds_tenant_variant_digest", "tenant", "variant_digest"),
    )

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of creation
    id: Mapped[str] = mapped_column(String(32), unique=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    model: Mapped[str] = mapped_column(String(63))
    version: Mapped[int] = mapped_column(BigInteger)
    variant: Mapped[str] = mapped_column(String(100))
    format: Mapped[str] = mapped_column(String(32))
    variant_digest: Mapped[str] = mapped_column(String(71))
    variant_signature_digest: Mapped[str] = mapped_column(String(71))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    created_at: Mapped[datetime]
    tag: Mapped[str | None] = mapped_column(String(127))
    size: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(String(71))
    signature_digest: Mapped[str | None] = mapped_column(String(71))
    archive_digest: Mapped[str | None] = mapped_column(String(71))
    key_id: Mapped[str | None] = mapped_column(String(64))
