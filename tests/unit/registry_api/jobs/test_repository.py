# SPDX-License-Identifier: Apache-2.0
"""The claim is one statement in both dialects; test_queue.py runs SQLite's for real."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from registry_api.jobs.interface import JobKind
from registry_api.jobs.repository import claim_statement

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _sql(dialect: type[Dialect]) -> str:
    statement = claim_statement(kinds=[JobKind.BUILD], owner="w", token="t", now=NOW, expires_at=NOW)
    return " ".join(str(statement.compile(dialect=dialect())).split())


def test_postgresql_locks_the_candidate_and_skips_locked_ones() -> None:
    """One UPDATE with the row lock inside and the row returned."""
    sql = _sql(postgresql.dialect)
    assert sql.startswith("UPDATE jobs SET")
    assert re.search(r"LIMIT \S+ FOR UPDATE SKIP LOCKED\) RETURNING", sql)


def test_sqlite_runs_the_same_statement_without_row_locks() -> None:
    """SQLite has no row locks: the clause is left out, the rest is the same."""
    sql = _sql(sqlite.dialect)
    assert sql.startswith("UPDATE jobs SET")
    assert "FOR UPDATE" not in sql
    assert "RETURNING" in sql
