# SPDX-License-Identifier: Apache-2.0
"""Conversions, their results, the files of converted variants, and calibration data.

Revision ID: 0015_pre_conversions
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from registry_api.db import row_security

revision = "0015_pre_conversions"
down_revision = "0014_pre_deletion"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
DIGEST = sa.String(71)
TABLES = ("calibrations", "conversions", "conversion_results", "variant_files")


def upgrade() -> None:
    _calibrations()
    _conversions()
    _results()
    op.create_table(
        "variant_files",
        sa.Column("variant_id", ROW_ID, sa.ForeignKey("variants.id"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        _tenant(),
        _required("path", sa.String(1024)),
        _required("size", sa.BigInteger()),
        _required("digest", DIGEST),
    )
    op.create_index("ix_variant_files_tenant_digest", "variant_files", ["tenant", "digest"])
    row_security.secure(op.get_bind(), *TABLES)


def _calibrations() -> None:
    op.create_table(
        "calibrations",
        sa.Column("number", ROW_ID, primary_key=True),
        _tenant(),
        _required("model", sa.String(63)),
        _required("name", sa.String(100)),
        _required("size", sa.BigInteger()),
        _required("digest", DIGEST),
        _required("signature_digest", DIGEST),
        _required("key_id", sa.String(64)),
        _required("created_at", MOMENT),
        _required("created_by", sa.String(200)),
        sa.UniqueConstraint("tenant", "model", "name"),
    )


def _conversions() -> None:
    op.create_table(
        "conversions",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(32)),
        _tenant(),
        _required("model", sa.String(63)),
        _required("version", sa.BigInteger()),
        _required("variant", sa.String(100)),
        _required("format", sa.String(32)),
        _required("variant_digest", DIGEST),
        _required("variant_signature_digest", DIGEST),
        _required("target", sa.String(100)),
        _required("auto", sa.Boolean()),
        sa.Column("route", JSON),
        sa.Column("thresholds", JSON),
        sa.Column("calibration", sa.String(100)),
        _required("job_id", sa.String(32), sa.ForeignKey("jobs.id")),
        _required("created_at", MOMENT),
        sa.Column("environment", JSON),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("job_id"),
    )
    op.create_index("ix_conversions_tenant_number", "conversions", ["tenant", "number"])
    op.create_index("ix_conversions_tenant_model_version", "conversions", ["tenant", "model", "version"])
    op.create_index("ix_conversions_tenant_variant_digest", "conversions", ["tenant", "variant_digest"])


def _results() -> None:
    op.create_table(
        "conversion_results",
        sa.Column("id", ROW_ID, primary_key=True),
        _tenant(),
        _required("conversion_id", sa.String(32), sa.ForeignKey("conversions.id")),
        _required("variant", sa.String(100)),
        _required("digest", DIGEST),
        _required("size", sa.BigInteger()),
        _required("accepted", sa.Boolean()),
        _required("reasons", JSON),
        _required("route", JSON),
        _required("report", JSON),
        _required("report_digest", DIGEST),
        _required("report_signature_digest", DIGEST),
        _required("picture_digest", DIGEST),
        _required("key_id", sa.String(64)),
        sa.UniqueConstraint("conversion_id", "variant"),
    )
    op.create_index("ix_conversion_results_tenant_digest", "conversion_results", ["tenant", "digest"])


def _tenant() -> sa.Column[Any]:
    return _required("tenant", sa.String(63), sa.ForeignKey("tenants.name"))


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
