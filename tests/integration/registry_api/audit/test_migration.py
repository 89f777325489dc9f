# SPDX-License-Identifier: Apache-2.0
"""The stage changes of the schema before become the beginning of each tenant's chain."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from artifacts.keys.file import FileKeyProvider
from core.clock import SystemClock
from deploy.local.components.postgres import PostgreSQL
from registry_api.audit.service import AuditService
from registry_api.db import migrations
from registry_api.db.engine import create_engine
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.http.pagination import PageRequest
from registry_api.models.values import Stage
from registry_api.promotion.history import StageHistory
from tests.integration.registry_api.audit.writing import note

BEFORE = (
    ("acme", "digits", 1, "DEVELOPMENT", "STAGING", "2026-01-31 09:30:00.123456"),
    ("globex", "words", 1, "DEVELOPMENT", "STAGING", "2026-01-31 09:31:00"),
    ("acme", "digits", 1, "STAGING", "PRODUCTION", "2026-01-31 09:32:00"),
    ("acme", "digits", 2, "DEVELOPMENT", "STAGING", "2026-01-31 08:32:00"),  # the clock had been set back
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'registry.db'}"
    server: PostgreSQL = request.getfixturevalue("postgres")
    return server.create(f"test_{uuid4().hex}").owner_url


async def test_stage_changes_are_the_beginning_of_the_chain(url: str, tmp_path: Path) -> None:
    """Every one of them, in order, with its reason; the chain verifies, goes on and answers what was in production."""
    await migrations.upgrade(url, "0006_pre_roles")
    database = Database(create_engine(url))
    async with database.write(EVERY_TENANT) as session:
        for name in ("acme", "globex"):
            await session.execute(
                text(
                    "INSERT INTO tenants (name, display_name, created_at) VALUES (:name, 'Ltd', '2026-01-31 09:00:00')"
                ),
                {"name": name},
            )
        for tenant, model, version, before, after, at in BEFORE:
            await session.execute(
                text(
                    "INSERT INTO stage_changes (tenant, model, version, before, after, reason, actor, actor_key, at) "
                    f"VALUES ('{tenant}', '{model}', {version}, '{before}', '{after}', 'why', 'ann', 'k1', '{at}')"
                )
            )
    await database.close()
    await migrations.upgrade(url, "0007_pre_governance")
    database = Database(create_engine(url))
    try:
        async with database.write("acme") as session:
            await note(session, "digits", tenant="acme")
        audit = AuditService(database, FileKeyProvider(tmp_path / "keys"), SystemClock())
        assert await audit.tenants() == ["acme", "globex"]
        verdicts = [await audit.verify(name) for name in ("acme", "globex")]
        assert [(verdict.entries, verdict.findings) for verdict in verdicts] == [(4, ()), (1, ())]
        async with database.read("acme") as session:
            history = StageHistory(session, "acme")
            page = await history.page("digits", PageRequest())
            there = await history.production_at("digits", datetime(2026, 1, 31, 9, 32, tzinfo=UTC))
        assert [(change.version, change.after, change.reason) for change in page.items] == [
            (2, Stage.STAGING, "why"),
            (1, Stage.PRODUCTION, "why"),
            (1, Stage.STAGING, "why"),
        ]
        assert there is not None
        assert there.version == 1
    finally:
        await database.close()
