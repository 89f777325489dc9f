# SPDX-License-Identifier: Apache-2.0
"""Deployments."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import RowId
from registry_api.db.engine import Base


class DeploymentRow(Base):
    """One deployment; at most one row per name."""

    __tablename__ = "deployments"
    __table_args__ = (
        UniqueConstraint("tenant", "name"),
        CheckConstraint("state IN ('pending', 'starting', 'running', 'stopping', 'stopped', 'failed')", name="state"),
        Index("ix_deployments_tenant_number", "tenant", "number"),
        Index("ix_deployments_tenant_build_id", "tenant", "build_id"),
        Index("ix_deployments_state_host", "state", "host"),
    )

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of creation
    id: Mapped[str] = mapped_column(String(32), unique=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    name: Mapped[str] = mapped_column(String(63))
    build_id: Mapped[str] = mapped_column(ForeignKey("builds.id"))
    model: Mapped[str] = mapped_column(String(63))
    version: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(71))
    target: Mapped[str] = mapped_column(String(16))
    auth: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    host: Mapped[str | None] = mapped_column(String(255))
    run: Mapped[str | None] = mapped_column(String(32))
    url: Mapped[str | None] = mapped_column(String(255))
    pid: Mapped[int | None]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
