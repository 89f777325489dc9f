# SPDX-License-Identifier: Apache-2.0
"""The columns of every table of products."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import RowId
from registry_api.db.engine import Base


class ProductRow(Base):
    """What a job makes. A slice's own columns say of what and how; those for what was made are empty until the job ends."""

    __abstract__ = True

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of creation
    id: Mapped[str] = mapped_column(String(32), unique=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    created_at: Mapped[datetime]
