# SPDX-License-Identifier: Apache-2.0
"""The declarative base, and the engine for a URL: :mod:`registry_api.db.sqlite` or :mod:`registry_api.db.postgresql`.

What is bound to a statement is in no error of either, and so in no log: it may be a pass, a webhook's secret, or a tenant's
text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, MetaData, column, true
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase

from registry_api.db.columns import UtcDateTime
from registry_api.db.sqlite import WRITE_OPTION, create_sqlite

__all__ = ["WRITE_OPTION", "Base", "create_engine", "is_sqlite", "tenant_column"]

_NAMES: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table; constraints have predictable names so that migrations can refer to them."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: UtcDateTime()}  # noqa: RUF012 - SQLAlchemy reads a plain dict

    @classmethod
    def owned_by(cls, tenant: str) -> ColumnElement[bool]:
        """Whether a row is the tenant's; true for tables whose rows are nobody's."""
        table = getattr(cls, "__table__", None)
        if table is None:  # the base itself, of which SQLAlchemy asks what the condition looks like
            return column("tenant") == tenant
        name = tenant_column(table.name, table.c.keys())
        return true() if name is None else getattr(cls, name) == tenant


def tenant_column(table: str, columns: Iterable[str]) -> str | None:
    """The column of a table that says whose a row is; None if it has none."""
    if table == "tenants":
        return "name"
    return "tenant" if "tenant" in columns else None


def is_sqlite(url: str) -> bool:
    """Whether the database is a file of this machine."""
    return make_url(url).get_backend_name() == "sqlite"


def create_engine(url: str, *, busy_seconds: float = 30.0, foreign_keys: bool = True) -> AsyncEngine:
    """An engine for ``url`` with the limits that suit tests and commands.

    Args:
        url: An SQLAlchemy URL with an async driver.
        busy_seconds: How long SQLite waits for another process's write lock.
        foreign_keys: Off only while a migration rebuilds tables of SQLite.
    """
    if is_sqlite(url):
        return create_sqlite(url, busy_seconds=busy_seconds, foreign_keys=foreign_keys)
    from registry_api.db.postgresql import PostgresOptions, create_postgresql  # asyncpg is not needed beside SQLite

    return create_postgresql(url, PostgresOptions())
