# SPDX-License-Identifier: Apache-2.0
"""The table of used Idempotency-Keys. The key itself is not in it, only its digest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import Json
from registry_api.db.engine import Base


class IdempotencyRow(Base):
    """One request that had its effect; ``status`` None: its answer is not known."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "applied_at"),)

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"), primary_key=True)
    route: Mapped[str] = mapped_column(String(200), primary_key=True)
    key_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    applied_at: Mapped[datetime]
    status: Mapped[int | None]
    headers: Mapped[dict[str, str] | None] = mapped_column(Json)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
