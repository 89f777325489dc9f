# SPDX-License-Identifier: Apache-2.0
"""Tables of tenants and keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import Json
from registry_api.db.engine import Base


class TenantRow(Base):
    """One tenant."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    display_name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]
    requests_per_second: Mapped[float | None]
    burst: Mapped[int | None]
    concurrent_requests: Mapped[int | None]
    requests_per_hour: Mapped[int | None]
    requests_per_day: Mapped[int | None]
    features: Mapped[dict[str, bool] | None] = mapped_column(Json)


class ApiKeyRow(Base):
    """One API key; a hash is the SHA-256 of a secret, hexadecimal. The previous secret works until ``previous_until``."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "tenant", "id"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    name: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[str]] = mapped_column(Json)
    secret_hash: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(String(16))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    previous_hash: Mapped[str | None] = mapped_column(String(64))
    previous_until: Mapped[datetime | None]
