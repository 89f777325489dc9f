# SPDX-License-Identifier: Apache-2.0
"""History as a chain; gates, approvals, evidence, aliases and deprecation.

The rows of ``stage_changes`` become the first entries of their tenants' chains and the table goes: it would say the same a
second time. Triggers of the database refuse to change or remove entries and checkpoints.

Revision ID: 0007_pre_governance
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import rfc8785
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_pre_governance"
down_revision = "0006_pre_roles"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
TIME = sa.DateTime(timezone=True)

_GENESIS = "sha256:" + "0" * 64
_KEPT = ("audit_entries", "audit_checkpoints")


def upgrade() -> None:
    _create_history()
    _fold_stage_changes()
    op.drop_table("stage_changes")
    for table in _KEPT:
        _refuse_changes(table)
    _create_gates()
    _create_aliases()
    for column in ("deprecated_at", "sunset_at"):
        op.add_column("versions", sa.Column(column, TIME))
    op.add_column("versions", sa.Column("deprecation_message", sa.Text()))


def _create_history() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        _required("at", sa.String(24)),
        _required("action", sa.String(64)),
        _required("resource", sa.String(200)),
        _required("hash", sa.String(71)),
        _required("document", sa.LargeBinary()),
    )
    op.create_index(
        "ix_audit_entries_tenant_resource_action_seq", "audit_entries", ["tenant", "resource", "action", "seq"]
    )
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), primary_key=True),
        _required("seq", sa.BigInteger()),
        _required("hash", sa.String(71)),
        _required("at", TIME),
        _required("signed_seq", sa.BigInteger()),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        _required("document", sa.LargeBinary()),
    )


def _create_gates() -> None:
    op.create_table(
        "gates",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("target", sa.String(64), primary_key=True),
        _required("rules", JSON),
        _required("updated_at", TIME),
        _required("updated_by", sa.String(200)),
    )
    op.create_table(
        "approvals",
        sa.Column("id", ROW_ID, primary_key=True),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("version_id", sa.BigInteger(), sa.ForeignKey("versions.id")),
        _required("target", sa.String(64)),
        _required("digest", sa.String(71)),
        _required("approver", sa.String(200)),
        _required("approver_key", sa.String(64)),
        _required("comment", sa.Text()),
        _required("at", TIME),
        sa.Column("withdrawn_at", TIME),
    )
    op.create_index("ix_approvals_tenant_version_id_id", "approvals", ["tenant", "version_id", "id"])
    op.create_table(
        "evidence",
        sa.Column("id", ROW_ID, primary_key=True),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("version_id", sa.BigInteger(), sa.ForeignKey("versions.id")),
        _required("kind", sa.String(16)),
        _required("digest", sa.String(71)),
        _required("content", sa.Text()),
        _required("signature", sa.Text()),
        _required("author", sa.String(200)),
        _required("author_key", sa.String(64)),
        _required("at", TIME),
    )
    op.create_index("ix_evidence_tenant_version_id_kind_id", "evidence", ["tenant", "version_id", "kind", "id"])


def _create_aliases() -> None:
    op.create_table(
        "aliases",
        sa.Column("model_id", ROW_ID, sa.ForeignKey("models.id"), primary_key=True),
        sa.Column("name", sa.String(63), primary_key=True),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("version_id", ROW_ID, sa.ForeignKey("versions.id")),
        _required("moved_at", TIME),
        _required("moved_by", sa.String(200)),
    )
    op.create_index("ix_aliases_tenant", "aliases", ["tenant"])


def _fold_stage_changes() -> None:
    names = ("id", "tenant", "model", "version", "before", "after", "reason", "actor", "actor_key")
    changes = sa.table("stage_changes", *(sa.column(name) for name in names), sa.column("at", TIME))
    rows = op.get_bind().execute(sa.select(changes).order_by(changes.c.tenant, changes.c.id)).all()
    for tenant, of_tenant in groupby(rows, key=lambda row: row.tenant):
        _fold(tenant, list(of_tenant))


def _fold(tenant: str, changes: list[Any]) -> None:
    entries = sa.table(
        "audit_entries",
        *(sa.column(name) for name in ("tenant", "seq", "at", "action", "resource", "hash", "document")),
    )
    previous, last = _GENESIS, datetime.min.replace(tzinfo=UTC)
    for seq, change in enumerate(changes, start=1):
        moment = change.at.replace(tzinfo=UTC) if change.at.tzinfo is None else change.at.astimezone(UTC)
        last = max(last, moment.replace(microsecond=moment.microsecond // 1000 * 1000))
        at = last.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        document = rfc8785.dumps(
            {
                "schema_version": 1,
                "tenant": tenant,
                "seq": seq,
                "at": at,
                "actor": change.actor,
                "actor_key": change.actor_key,
                "action": "version.stage_changed",
                "subject": f"{change.model}@{change.version}",
                "before": {"stage": change.before},
                "after": {"stage": change.after},
                "reason": change.reason,
                "evidence": None,
                "previous": previous,
            }
        )
        previous = "sha256:" + hashlib.sha256(document).hexdigest()
        op.get_bind().execute(
            entries.insert().values(
                tenant=tenant,
                seq=seq,
                at=at,
                action="version.stage_changed",
                resource=change.model,
                hash=previous,
                document=document,
            )
        )
    heads = sa.table("audit_heads", *(sa.column(name) for name in ("tenant", "seq", "hash", "signed_seq")))
    heads.append_column(sa.column("at", TIME))
    op.get_bind().execute(heads.insert().values(tenant=tenant, seq=len(changes), hash=previous, at=last, signed_seq=0))


def _refuse_changes(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
