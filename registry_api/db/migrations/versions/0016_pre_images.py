# SPDX-License-Identifier: Apache-2.0
"""Images of Bentos, and the blobs of their OCI layouts.

Revision ID: 0016_pre_images
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from registry_api.db import row_security

revision = "0016_pre_images"
down_revision = "0015_pre_conversions"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DIGEST = sa.String(71)
TABLES = ("images", "image_blobs")


def upgrade() -> None:
    _images()
    op.create_table(
        "image_blobs",
        sa.Column("image_id", sa.String(32), sa.ForeignKey("images.id"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        _tenant(),
        _required("digest", DIGEST),
        _required("size", sa.BigInteger()),
        _required("media_type", sa.String(255)),
        sa.Column("layer", sa.String(32)),
        _required("cached", sa.Boolean()),
    )
    op.create_index("ix_image_blobs_tenant_digest", "image_blobs", ["tenant", "digest"])
    row_security.secure(op.get_bind(), *TABLES)


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(32)),
        _tenant(),
        _required("build_id", sa.String(32), sa.ForeignKey("builds.id")),
        _required("model", sa.String(63)),
        _required("version", sa.BigInteger()),
        _required("variant", sa.String(100)),
        _required("format", sa.String(32)),
        _required("variant_digest", DIGEST),
        _required("variant_signature_digest", DIGEST),
        _required("builder", sa.String(32)),
        _required("device", sa.String(32)),
        _required("architecture", sa.String(32)),
        _required("job_id", sa.String(32), sa.ForeignKey("jobs.id")),
        _required("created_at", sa.DateTime(timezone=True)),
        sa.Column("digest", DIGEST),
        sa.Column("size", sa.BigInteger()),
        sa.Column("compressed_bytes", sa.BigInteger()),
        sa.Column("base_digest", DIGEST),
        sa.Column("made_by", sa.String(32)),
        sa.Column("builder_version", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("platform", sa.String(64)),
        sa.Column("key_id", sa.String(64)),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("job_id"),
    )
    for column in ("number", "variant_digest", "build_id"):
        op.create_index(f"ix_images_tenant_{column}", "images", ["tenant", column])


def _tenant() -> sa.Column[Any]:
    return _required("tenant", sa.String(63), sa.ForeignKey("tenants.name"))


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
