# SPDX-License-Identifier: Apache-2.0
"""The inverted index of models: one row per model and term.

It is a table like any other and not a full-text engine's: its index begins with the tenant, so that nobody's search costs
more for what others have; row security covers it; and both databases answer alike (docs/adr/0017).
"""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.engine import Base

TERM_CHARS = 255
TERM = String(TERM_CHARS).with_variant(String(TERM_CHARS, collation="C"), "postgresql")  # ordered by code point in both


class ModelTermRow(Base):
    """One term of one model."""

    __tablename__ = "model_terms"
    __table_args__ = (Index(None, "model_id", "kind", "term"),)

    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(1), primary_key=True)
    term: Mapped[str] = mapped_column(TERM, primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), primary_key=True)
