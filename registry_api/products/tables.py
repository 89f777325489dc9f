# SPDX-License-Identifier: Apache-2.0
"""The columns of every table of products."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.columns import RowId
from registry_api.db.engine import Base
from registry_api.models.tables import SourceColumns


class ProductRow(SourceColumns, Base):
    """What a job makes of a variant. Columns for what was made are the slice's own, and empty until the job ends."""

    __abstract__ = True

    number: Mapped[int] = mapped_column(RowId, primary_key=True)  # order of creation
    id: Mapped[str] = mapped_column(String(32), unique=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    created_at: Mapped[datetime]
