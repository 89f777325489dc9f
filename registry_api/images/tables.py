# SPDX-License-Identifier: Apache-2.0
"""Images and their blobs. What an image became is written once, with the end of its job."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from registry_api.db.engine import Base
from registry_api.products.tables import ProductRow


class ImageRow(ProductRow):
    """One image of a Bento; the columns from ``digest`` on are set together."""

    __tablename__ = "images"
    __table_args__ = (
        Index("ix_images_tenant_number", "tenant", "number"),
        Index("ix_images_tenant_variant_digest", "tenant", "variant_digest"),
        Index("ix_images_tenant_build_id", "tenant", "build_id"),
    )

    build_id: Mapped[str] = mapped_column(ForeignKey("builds.id"))
    builder: Mapped[str] = mapped_column(String(32))  # as asked for
    device: Mapped[str] = mapped_column(String(32))
    architecture: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str | None] = mapped_column(String(71))
    size: Mapped[int | None] = mapped_column(BigInteger)
    compressed_bytes: Mapped[int | None] = mapped_column(BigInteger)
    base_digest: Mapped[str | None] = mapped_column(String(71))
    made_by: Mapped[str | None] = mapped_column(String(32))
    builder_version: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    platform: Mapped[str | None] = mapped_column(String(64))
    key_id: Mapped[str | None] = mapped_column(String(64))


class ImageBlobRow(Base):
    """One blob of an image's layout, in the layout's order."""

    __tablename__ = "image_blobs"
    __table_args__ = (Index("ix_image_blobs_tenant_digest", "tenant", "digest"),)

    image_id: Mapped[str] = mapped_column(ForeignKey("images.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name"))
    digest: Mapped[str] = mapped_column(String(71))
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(255))
    layer: Mapped[str | None] = mapped_column(String(32))
    cached: Mapped[bool]
