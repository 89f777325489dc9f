# SPDX-License-Identifier: Apache-2.0
"""Revisions, instances and events of deployments.

What runs is kept: every deployment gets revision 1, and what answers its one instance. Processes of before show and stop a
deployment's first instance; they neither start nor end others.

Revision ID: 0017_pre_deployment_instances
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from registry_api.db import row_security

revision = "0017_pre_deployment_instances"
down_revision = "0016_pre_images"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
TABLES = ("deployment_revisions", "deployment_instances", "deployment_events")


def upgrade() -> None:
    for column in (
        sa.Column("replicas", sa.Integer(), server_default="1", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("serving_revision", sa.Integer()),
        *_of_images(),
    ):
        op.add_column("deployments", column)
    _revisions()
    _instances()
    _events()
    _force(on=False)  # the owner sees every tenant's rows
    _keep()
    _force(on=True)
    row_security.secure(op.get_bind(), *TABLES)


def _revisions() -> None:
    op.create_table(
        "deployment_revisions",
        sa.Column("deployment_id", sa.String(32), _deployment(), primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True, autoincrement=False),
        _tenant(),
        _required("build_id", sa.String(32)),
        _required("model", sa.String(63)),
        _required("version", sa.BigInteger()),
        _required("digest", sa.String(71)),
        _required("target", sa.String(16)),
        _required("auth", sa.String(16)),
        *_of_images(),
        _required("reason", sa.String(200)),
        _required("created_by", sa.String(200)),
        _required("created_at", MOMENT),
    )


def _instances() -> None:
    op.create_table(
        "deployment_instances",
        sa.Column("number", ROW_ID, primary_key=True),
        _required("run", sa.String(32)),
        _tenant(),
        _required("deployment_id", sa.String(32), _deployment()),
        _required("revision", sa.Integer()),
        _required("host", sa.String(255)),
        _required("state", sa.String(16)),
        sa.Column("url", sa.String(255)),
        sa.Column("pid", sa.Integer()),
        _required("created_at", MOMENT),
        sa.UniqueConstraint("run"),
        sa.CheckConstraint("state IN ('starting', 'ready', 'ending')", name="state"),
    )
    op.create_index("ix_deployment_instances_host", "deployment_instances", ["host"])
    op.create_index("ix_deployment_instances_deployment_id", "deployment_instances", ["deployment_id"])


def _events() -> None:
    op.create_table(
        "deployment_events",
        sa.Column("number", ROW_ID, primary_key=True),
        _tenant(),
        _required("deployment_id", sa.String(32), _deployment()),
        _required("kind", sa.String(32)),
        _required("message", sa.Text()),
        _required("at", MOMENT),
    )
    op.create_index("ix_deployment_events_deployment_id_number", "deployment_events", ["deployment_id", "number"])


def _keep() -> None:
    op.execute(
        "INSERT INTO deployment_revisions (deployment_id, revision, tenant, build_id, model, version, digest, target, auth, "
        "reason, created_by, created_at) "
        "SELECT id, 1, tenant, build_id, model, version, digest, target, auth, '', '', created_at FROM deployments"
    )
    op.execute(
        "INSERT INTO deployment_instances (run, tenant, deployment_id, revision, host, state, url, pid, created_at) "
        "SELECT run, tenant, id, 1, host, 'ready', url, pid, updated_at FROM deployments "
        "WHERE state IN ('running', 'stopping') AND run IS NOT NULL AND host IS NOT NULL AND pid IS NOT NULL"
    )
    op.execute("UPDATE deployments SET serving_revision = 1 WHERE state IN ('running', 'stopping')")


def _force(*, on: bool) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE deployments {'' if on else 'NO '}FORCE ROW LEVEL SECURITY")


def _of_images() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("image_id", sa.String(32)),
        sa.Column("cpus", sa.Double()),
        sa.Column("memory_bytes", sa.BigInteger()),
    )


def _deployment() -> sa.ForeignKey:
    return sa.ForeignKey("deployments.id", ondelete="CASCADE")


def _tenant() -> sa.Column[Any]:
    return _required("tenant", sa.String(63), sa.ForeignKey("tenants.name"))


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
