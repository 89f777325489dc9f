# SPDX-License-Identifier: Apache-2.0
"""Descriptions and tags of versions, the inverted index of models, model cards, and Idempotency-Keys.

The index of models that exist already is filled here; its words are cut as ``registry_api.models.search.terms`` did when
this was written.

Revision ID: 0008_pre_catalogue
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_pre_catalogue"
down_revision = "0007_pre_governance"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
TERM = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    _versions()
    op.create_index("ix_models_tenant_created_at_id", "models", ["tenant", "created_at", "id"])
    op.create_index("ix_models_tenant_updated_at_id", "models", ["tenant", "updated_at", "id"])
    _terms()
    op.create_table(
        "model_cards",
        sa.Column("model_id", ROW_ID, sa.ForeignKey("models.id"), primary_key=True),
        sa.Column("version", sa.BigInteger(), primary_key=True),
        _required("tenant", sa.String(63), sa.ForeignKey("tenants.name")),
        _required("revision", sa.BigInteger()),
        _required("fields", JSON),
        _required("body", sa.Text()),
        _required("updated_at", MOMENT),
        _required("updated_by", sa.String(200)),
    )
    op.create_index("ix_model_cards_tenant", "model_cards", ["tenant"])
    _idempotency()
    op.create_index("ix_builds_tenant_variant_digest", "builds", ["tenant", "variant_digest"])
    op.create_index("ix_deployments_tenant_build_id", "deployments", ["tenant", "build_id"])
    op.create_index("ix_variants_tenant_digest", "variants", ["tenant", "digest"])
    op.drop_index("ix_variants_tenant", "variants")
    _fill()


def _versions() -> None:
    op.add_column("versions", sa.Column("description", sa.Text()))
    op.add_column("versions", sa.Column("tags", JSON))
    versions = sa.table("versions", sa.column("description", sa.Text), sa.column("tags", JSON))
    op.get_bind().execute(versions.update().values(description="", tags=[]))
    with op.batch_alter_table("versions") as batch:
        batch.alter_column("description", nullable=False)
        batch.alter_column("tags", nullable=False)
    op.create_index("ix_versions_model_id_stage_version", "versions", ["model_id", "stage", "version"])
    op.create_index("ix_versions_model_id_format_version", "versions", ["model_id", "format", "version"])


def _terms() -> None:
    op.create_table(
        "model_terms",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("kind", sa.String(1), primary_key=True),
        sa.Column("term", TERM, primary_key=True),
        sa.Column("model_id", ROW_ID, sa.ForeignKey("models.id"), primary_key=True),
    )
    op.create_index("ix_model_terms_model_id_kind_term", "model_terms", ["model_id", "kind", "term"])


def _idempotency() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.name"), primary_key=True),
        sa.Column("route", sa.String(200), primary_key=True),
        sa.Column("key_digest", sa.String(64), primary_key=True),
        _required("fingerprint", sa.String(64)),
        _required("applied_at", MOMENT),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", JSON),
        sa.Column("body", sa.LargeBinary()),
    )
    op.create_index("ix_idempotency_keys_applied_at", "idempotency_keys", ["applied_at"])


def _fill() -> None:
    bind = op.get_bind()
    plain = ("id", "tenant", "name", "description", "last_version")
    models = sa.table("models", *(sa.column(name) for name in plain), sa.column("tags", JSON))
    versions = sa.table("versions", sa.column("model_id"), sa.column("version"), sa.column("metadata", JSON))
    terms = sa.table("model_terms", *(sa.column(name) for name in ("tenant", "kind", "term", "model_id")))
    newest = versions.c.model_id == models.c.id, versions.c.version == models.c.last_version
    query = sa.select(models, versions.c.metadata).outerjoin(versions, sa.and_(*newest))
    for model in bind.execute(query).all():
        pairs = (part for pair in (model.metadata or {}).items() for part in pair)
        words = _words([model.name, model.description, *model.tags, *pairs])
        found = [("w", word) for word in words] + [("t", tag if ":" in tag else f"{tag}:") for tag in set(model.tags)]
        rows = [{"tenant": model.tenant, "kind": kind, "term": term, "model_id": model.id} for kind, term in found]
        bind.execute(terms.insert(), rows)


def _words(texts: Iterable[str]) -> list[str]:
    folded = (unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()) for text in texts)
    return list(dict.fromkeys(word[:64] for text in folded for word in re.findall(r"[^\W_]+", text)))[:1000]


def _required(name: str, kind: Any, *constraints: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *constraints, nullable=False)
