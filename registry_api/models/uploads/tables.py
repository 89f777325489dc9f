# SPDX-License-Identifier: Apache-2.0
"""Tables of uploads."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from registry_api.db.columns import Json
from registry_api.db.engine import Base


class UploadRow(Base):
    """One upload; ``version`` is set when it is completed."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index(None, "tenant", "state", "expires_at"),
        Index(None, "state", "expires_at"),
        CheckConstraint("state IN ('open', 'completed', 'aborted')", name="state"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    model: Mapped[str] = mapped_column(String(63))
    format: Mapped[str] = mapped_column(String(32))
    labels: Mapped[dict[str, str]] = mapped_column("metadata", Json)
    state: Mapped[str] = mapped_column(String(16))
    version: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    created_by_key: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]

    files: Mapped[list[UploadFileRow]] = relationship(order_by="UploadFileRow.position", lazy="raise")


class UploadFileRow(Base):
    """One declared file."""

    __tablename__ = "upload_files"
    __table_args__ = (Index(None, "tenant", "digest"),)

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    path: Mapped[str] = mapped_column(String(1024))
    size: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(71))
