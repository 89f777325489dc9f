# SPDX-License-Identifier: Apache-2.0
"""Builds. What a build became is written once, with the end of its job."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.products.tables import ProductRow


class BuildRow(ProductRow):
    """One build of a variant; its own columns are set together."""

    __tablename__ = "builds"
    __table_args__ = (
        Index("ix_builds_tenant_number", "tenant", "number"),
        Index("ix_builds_tenant_variant_digest", "tenant", "variant_digest"),
    )

    tag: Mapped[str | None] = mapped_column(String(127))
    size: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[str | None] = mapped_column(String(71))
    signature_digest: Mapped[str | None] = mapped_column(String(71))
    archive_digest: Mapped[str | None] = mapped_column(String(71))
    key_id: Mapped[str | None] = mapped_column(String(64))
