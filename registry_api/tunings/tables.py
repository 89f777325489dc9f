# SPDX-License-Identifier: Apache-2.0
"""Tunings. What was measured is written once, with the end of its job."""

from __future__ import annotations

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.products.tables import ProductRow


class TuningRow(ProductRow):
    """One tuning of a variant; its own columns are set together."""

    __tablename__ = "tunings"
    __table_args__ = (
        Index("ix_tunings_tenant_number", "tenant", "number"),
        Index("ix_tunings_tenant_variant_digest", "tenant", "variant_digest"),
    )

    device: Mapped[str | None] = mapped_column(String(71))  # fingerprint
    document: Mapped[bytes | None] = mapped_column(LargeBinary)  # tuning.json
    key_id: Mapped[str | None] = mapped_column(String(64))
