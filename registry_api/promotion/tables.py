# SPDX-License-Identifier: Apache-2.0
"""Tables of gates, approvals and evidence. Approvals are withdrawn, never removed; evidence is only ever added."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import Json, RowId
from registry_api.db.engine import Base


class GatesRow(Base):
    """What a version needs to enter a stage (``PRODUCTION``), or to get an alias (``@champion``)."""

    __tablename__ = "gates"

    tenant: Mapped[str] = mapped_column(String(63), ForeignKey("tenants.name"), primary_key=True)
    target: Mapped[str] = mapped_column(String(64), primary_key=True)
    rules: Mapped[dict[str, Any]] = mapped_column(Json)
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(200))


class ApprovalRow(Base):
    """One person's yes to one state of one version; ``digest`` names that state."""

    __tablename__ = "approvals"
    __table_args__ = (Index(None, "tenant", "version_id", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63), ForeignKey("tenants.name"))
    version_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("versions.id"))
    target: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(71))
    approver: Mapped[str] = mapped_column(String(200))
    approver_key: Mapped[str] = mapped_column(String(64))
    comment: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class EvidenceRow(Base):
    """One document about a version, as canonical JSON, with the tenant's signature over its digest."""

    __tablename__ = "evidence"
    __table_args__ = (Index(None, "tenant", "version_id", "kind", "id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(63), ForeignKey("tenants.name"))
    version_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("versions.id"))
    kind: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(71))
    content: Mapped[str] = mapped_column(Text)
    signature: Mapped[str] = mapped_column(Text)
    author: Mapped[str] = mapped_column(String(200))
    author_key: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
