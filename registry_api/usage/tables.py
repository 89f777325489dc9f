# SPDX-License-Identifier: Apache-2.0
"""Tables of the request log and the hourly usage. Why plain tables: docs/adr/0018-request-log.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Double, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import Json, RowId
from registry_api.db.engine import Base

_FAILED: Final = text("code <> 'ok'")


class InferenceRequestRow(Base):
    """One logged request. The ``number`` is the order of arrival here; ``at`` is the service's time."""

    __tablename__ = "inference_requests"
    __table_args__ = (
        Index("ix_inference_requests_tenant_at", "tenant", "at", "number"),
        Index("ix_inference_requests_tenant_model_at", "tenant", "model", "at", "number"),
        Index("ix_inference_requests_failed", "tenant", "at", "number", postgresql_where=_FAILED, sqlite_where=_FAILED),
    )

    number: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    at: Mapped[datetime]  # the end of the request
    model: Mapped[str] = mapped_column(String(63))
    version: Mapped[str | None] = mapped_column(String(20))  # None: refused before a version was found
    request_id: Mapped[str | None] = mapped_column(String(128))  # None: refused before it was read
    code: Mapped[str] = mapped_column(String(32))  # 'ok', 'cancelled' or an error code
    protocol: Mapped[str] = mapped_column(String(16))
    key_id: Mapped[str] = mapped_column(String(128))
    rows: Mapped[int]
    total_us: Mapped[int] = mapped_column(BigInteger)  # microseconds, from the decoded request to its result
    queue_us: Mapped[int | None] = mapped_column(BigInteger)  # waiting for a batch; None: not known
    compute_us: Mapped[int | None] = mapped_column(BigInteger)  # its share of the batch's time; None: not known
    runner: Mapped[str | None] = mapped_column(String(64))  # runner and device: 'onnx-cpu'
    weight: Mapped[float] = mapped_column(Double)  # how many requests it stands for
    details: Mapped[dict[str, Any] | None] = mapped_column("metadata", Json)


class UsageHourRow(Base):
    """What one key used of one model within one hour (UTC)."""

    __tablename__ = "usage_hours"

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(String(63), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    requests: Mapped[float] = mapped_column(Double)
    failures: Mapped[float] = mapped_column(Double)
    refused: Mapped[float] = mapped_column(Double)  # failures because of the tenant's limits
    rows: Mapped[float] = mapped_column(Double)
    compute_seconds: Mapped[float] = mapped_column(Double)
    latencies: Mapped[dict[str, float]] = mapped_column(Json)  # requests by bin; see registry_api.usage.histogram


class RequestBatchRow(Base):
    """A batch that was taken in; delivered again, it changes nothing. Of the platform: a batch holds many tenants."""

    __tablename__ = "request_batches"
    __table_args__ = (Index(None, "received_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    received_at: Mapped[datetime]
