# SPDX-License-Identifier: Apache-2.0
"""Jobs with their leases and logs, Bento builds, deployments.

Revision ID: 0002_pre_jobs_builds_deployments
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_pre_jobs_builds_deployments"
down_revision = "0001_pre_initial"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _jobs()
    _builds()
    _deployments()


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)


def _tenant() -> sa.Column[Any]:
    return _required("tenant", sa.String(63), sa.ForeignKey("tenants.name"))


def _error() -> list[sa.Column[Any]]:
    return [sa.Column("error_code", sa.String(32)), sa.Column("error_message", sa.Text())]


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(32)),
        _required("tenant", sa.String(63)),
        _required("kind", sa.String(32)),
        _required("state", sa.String(16)),
        _required("spec", JSON),
        _required("progress", sa.Double()),
        _required("step", sa.String(200)),
        _required("attempt", sa.Integer()),
        _required("max_attempts", sa.Integer()),
        _required("cancel_requested", sa.Boolean()),
        *_error(),
        sa.Column("result", JSON),
        _required("log_size", sa.BigInteger()),
        _required("run_after", MOMENT),
        sa.Column("lease_owner", sa.String(200)),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_expires_at", MOMENT),
        _required("created_at", MOMENT),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.UniqueConstraint("id"),
        sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        sa.CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name="lease"),
    )
    op.create_index("ix_jobs_state_run_after", "jobs", ["state", "run_after"])
    op.create_index("ix_jobs_tenant_number", "jobs", ["tenant", "number"])
    op.create_table(
        "job_logs",
        sa.Column("job_number", ROW_ID, sa.ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("start", sa.BigInteger(), primary_key=True, autoincrement=False),
        _required("data", sa.LargeBinary()),
    )


def _builds() -> None:
    op.create_table(
        "builds",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(32)),
        _tenant(),
        _required("model", sa.String(63)),
        _required("version", sa.BigInteger()),
        _required("variant", sa.String(100)),
        _required("format", sa.String(32)),
        _required("variant_digest", sa.String(71)),
        _required("variant_signature_digest", sa.String(71)),
        _required("job_id", sa.String(32), sa.ForeignKey("jobs.id")),
        _required("created_at", MOMENT),
        sa.Column("tag", sa.String(127)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("digest", sa.String(71)),
        sa.Column("signature_digest", sa.String(71)),
        sa.Column("archive_digest", sa.String(71)),
        sa.Column("key_id", sa.String(64)),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("job_id"),
    )
    op.create_index("ix_builds_tenant_number", "builds", ["tenant", "number"])


def _deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("id", sa.String(32)),
        _tenant(),
        _required("name", sa.String(63)),
        _required("build_id", sa.String(32), sa.ForeignKey("builds.id")),
        _required("model", sa.String(63)),
        _required("version", sa.BigInteger()),
        _required("digest", sa.String(71)),
        _required("target", sa.String(16)),
        _required("auth", sa.String(16)),
        _required("state", sa.String(16)),
        sa.Column("host", sa.String(255)),
        sa.Column("run", sa.String(32)),
        sa.Column("url", sa.String(255)),
        sa.Column("pid", sa.Integer()),
        _required("job_id", sa.String(32), sa.ForeignKey("jobs.id")),
        *_error(),
        _required("created_at", MOMENT),
        _required("updated_at", MOMENT),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("tenant", "name"),
        sa.CheckConstraint(
            "state IN ('pending', 'starting', 'running', 'stopping', 'stopped', 'failed')", name="state"
        ),
    )
    op.create_index("ix_deployments_tenant_number", "deployments", ["tenant", "number"])
    op.create_index("ix_deployments_state_host", "deployments", ["state", "host"])
