# SPDX-License-Identifier: Apache-2.0
"""Inserts that say what to do on a conflict: SQLAlchemy has them by dialect only."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session as OrmSession

from registry_api.db.session import Session


def insert_into(session: Session | OrmSession, table: Any) -> Any:
    """The insert of the session's dialect."""
    sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite_insert(table) if sqlite else postgresql_insert(table)
