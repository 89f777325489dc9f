# SPDX-License-Identifier: Apache-2.0
"""Tenants, keys, models, versions, variants, uploads and stage changes.

Revision ID: 0001_pre_initial
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001_pre_initial"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _tenancy()
    _models()
    _versions()
    _uploads()
    _promotion()


def _tenant() -> sa.Column[Any]:
    return sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), nullable=False)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _file_columns() -> list[sa.Column[Any]]:
    return [
        _tenant(),
        _required("path", sa.String(1024)),
        _required("size", sa.BigInteger()),
        _required("digest", sa.String(71)),
    ]


def _signed_columns() -> list[sa.Column[Any]]:
    return [
        _required("digest", sa.String(71)),
        _required("signature_digest", sa.String(71)),
        _required("key_id", sa.String(64)),
        _required("size", sa.BigInteger()),
    ]


def _tenancy() -> None:
    op.create_table(
        "tenants",
        sa.Column("name", sa.String(63), primary_key=True),
        _required("display_name", sa.String(200)),
        _required("created_at", MOMENT),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), primary_key=True),
        _tenant(),
        _required("name", sa.String(200)),
        _required("scopes", JSON),
        _required("secret_hash", sa.String(64)),
        _required("created_at", MOMENT),
        sa.Column("created_by", sa.String(16)),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant", "id"])


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("id", ROW_ID, primary_key=True),
        _tenant(),
        _required("name", sa.String(63)),
        _required("description", sa.Text()),
        _required("tags", JSON),
        _required("last_version", sa.BigInteger()),
        _required("created_at", MOMENT),
        _required("updated_at", MOMENT),
        sa.UniqueConstraint("tenant", "name"),
    )


def _versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", ROW_ID, primary_key=True),
        _tenant(),
        sa.Column("model_id", ROW_ID, sa.ForeignKey("models.id"), nullable=False),
        _required("version", sa.BigInteger()),
        _required("stage", sa.String(16)),
        _required("format", sa.String(32)),
        *_signed_columns(),
        _required("inputs", JSON),
        _required("outputs", JSON),
        _required("metadata", JSON),
        _required("created_at", MOMENT),
        _required("created_by", sa.String(200)),
        _required("created_by_key", sa.String(64)),
        sa.UniqueConstraint("model_id", "version"),
        sa.CheckConstraint("stage IN ('DEVELOPMENT', 'STAGING', 'PRODUCTION', 'DEPRECATED')", name="stage"),
    )
    op.create_index("ix_versions_tenant", "versions", ["tenant"])
    one = sa.text("stage = 'PRODUCTION'")
    op.create_index(
        "uq_versions_production", "versions", ["model_id"], unique=True, sqlite_where=one, postgresql_where=one
    )
    op.create_table(
        "version_files",
        sa.Column("version_id", ROW_ID, sa.ForeignKey("versions.id"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        *_file_columns(),
    )
    op.create_index("ix_version_files_tenant_digest", "version_files", ["tenant", "digest"])
    op.create_table(
        "variants",
        sa.Column("id", ROW_ID, primary_key=True),
        _tenant(),
        sa.Column("version_id", ROW_ID, sa.ForeignKey("versions.id"), nullable=False),
        _required("name", sa.String(100)),
        _required("format", sa.String(32)),
        _required("precision", sa.String(32)),
        _required("device", sa.String(32)),
        *_signed_columns(),
        _required("source", sa.Boolean()),
        _required("created_at", MOMENT),
        sa.UniqueConstraint("version_id", "name"),
    )
    op.create_index("ix_variants_tenant", "variants", ["tenant"])


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(32), primary_key=True),
        _tenant(),
        _required("model", sa.String(63)),
        _required("format", sa.String(32)),
        _required("metadata", JSON),
        _required("state", sa.String(16)),
        sa.Column("version", sa.BigInteger()),
        _required("created_at", MOMENT),
        _required("created_by_key", sa.String(64)),
        _required("expires_at", MOMENT),
        sa.CheckConstraint("state IN ('open', 'completed', 'aborted')", name="state"),
    )
    op.create_index("ix_uploads_tenant_state_expires_at", "uploads", ["tenant", "state", "expires_at"])
    op.create_table(
        "upload_files",
        sa.Column("upload_id", sa.String(32), sa.ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        *_file_columns(),
    )


def _promotion() -> None:
    op.create_table(
        "stage_changes",
        sa.Column("id", ROW_ID, primary_key=True),
        _tenant(),
        _required("model", sa.String(63)),
        _required("version", sa.BigInteger()),
        _required("before", sa.String(16)),
        _required("after", sa.String(16)),
        _required("reason", sa.Text()),
        _required("actor", sa.String(200)),
        _required("actor_key", sa.String(64)),
        _required("at", MOMENT),
    )
    op.create_index("ix_stage_changes_tenant_model_id", "stage_changes", ["tenant", "model", "id"])
