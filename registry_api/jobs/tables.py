# SPDX-License-Identifier: Apache-2.0
"""Jobs and their logs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import Json, RowId
from registry_api.db.engine import Base


class JobRow(Base):
    """One job. The lease columns are set exactly while it runs."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name="lease"),
        Index("ix_jobs_state_run_after", "state", "run_after"),
        Index("ix_jobs_tenant_number", "tenant", "number"),
    )

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of creation
    id: Mapped[str] = mapped_column(String(32), unique=True)
    tenant: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    spec: Mapped[dict[str, Any]] = mapped_column(Json)
    progress: Mapped[float]
    step: Mapped[str] = mapped_column(String(200))
    attempt: Mapped[int]
    max_attempts: Mapped[int]
    cancel_requested: Mapped[bool]
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    log_size: Mapped[int] = mapped_column(BigInteger)  # bytes in job_logs
    run_after: Mapped[datetime]  # not claimed before
    lease_owner: Mapped[str | None] = mapped_column(String(200))
    lease_token: Mapped[str | None] = mapped_column(String(32))
    lease_expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class JobLogRow(Base):
    """A piece of a job's log; pieces follow each other without gaps."""

    __tablename__ = "job_logs"

    job_number: Mapped[int] = mapped_column(RowId, ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # offset of the first byte
    data: Mapped[bytes] = mapped_column(LargeBinary)
