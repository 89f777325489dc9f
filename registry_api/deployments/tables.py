# SPDX-License-Identifier: Apache-2.0
"""Deployments, the revisions of what was wanted, their instances and machines, and what happened to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import RowId
from registry_api.db.engine import Base


class TemplateColumns:
    """What the instances of a revision are made of."""

    model: Mapped[str] = mapped_column(String(63))
    version: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(71))
    target: Mapped[str] = mapped_column(String(16))
    auth: Mapped[str] = mapped_column(String(16))
    image_id: Mapped[str | None] = mapped_column(String(32))
    cpus: Mapped[float | None]
    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)


class DeploymentRow(TemplateColumns, Base):
    """One deployment; at most one row per name. ``host``, ``run``, ``url`` and ``pid`` are of the instance shown first."""

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
    replicas: Mapped[int] = mapped_column(server_default="1")
    revision: Mapped[int] = mapped_column(server_default="1")
    serving_revision: Mapped[int | None]
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


class RevisionRow(TemplateColumns, Base):
    """What was wanted once. Its build may be gone since."""

    __tablename__ = "deployment_revisions"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    build_id: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(200))
    created_by: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]


class InstanceRow(Base):
    """One start that may exist. The row is written before the start, and removed after the end."""

    __tablename__ = "deployment_instances"
    __table_args__ = (
        CheckConstraint("state IN ('starting', 'ready', 'ending')", name="state"),
        Index("ix_deployment_instances_host", "host"),
        Index("ix_deployment_instances_deployment_id", "deployment_id"),
    )

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of creation
    run: Mapped[str] = mapped_column(String(32), unique=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"))
    revision: Mapped[int]
    host: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(16))
    url: Mapped[str | None] = mapped_column(String(255))
    pid: Mapped[int | None]
    created_at: Mapped[datetime]


class HappeningRow(Base):
    """Something that happened to a deployment; the newest ones are kept."""

    __tablename__ = "deployment_events"
    __table_args__ = (Index("ix_deployment_events_deployment_id_number", "deployment_id", "number"),)

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of happening
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    message: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class MachineRow(Base):
    """A machine of which a worker wrote; no tenant's. It goes when it is silent and nothing is known to run there."""

    __tablename__ = "machines"

    host: Mapped[str] = mapped_column(String(255), primary_key=True)
    beat: Mapped[str] = mapped_column(String(32))  # another one each time
    seen_at: Mapped[datetime]
