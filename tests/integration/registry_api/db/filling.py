# SPDX-License-Identifier: Apache-2.0
"""Fills whatever tables a schema has with plausible rows, by looking at the schema itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Float,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    inspect,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Integer

ROWS = 3
MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)

_CHOICES = {
    ("uploads", "state"): ["open", "completed", "aborted"],
    ("jobs", "state"): ["running"] * 3,
    ("jobs", "kind"): ["build", "deploy", "stop"],
    ("deployments", "state"): ["pending", "running", "failed"],
    ("deployment_instances", "state"): ["starting", "ready", "ending"],
    ("versions", "stage"): ["DEVELOPMENT", "STAGING", "PRODUCTION"],
    ("webhook_deliveries", "state"): ["pending"] * 3,
    ("stage_changes", "before"): ["DEVELOPMENT", "STAGING", "PRODUCTION"],
    ("stage_changes", "after"): ["STAGING", "PRODUCTION", "STAGING"],
}
_JSON = {"scopes": ["read"], "roles": ["viewer"], "tags": ["a"]}
_MAPS = {"metadata", "spec", "features", "result"}


def fill(connection: Connection) -> None:
    """Writes three rows into every table; row ``n`` of a child belongs to row ``n`` of its parent."""
    metadata = _reflected(connection)
    for table in metadata.sorted_tables:
        for number in range(ROWS):
            row = {column.name: _value(metadata, column, number) for column in table.columns if _wanted(column)}
            connection.execute(table.insert().values(row))


def content(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in an order that does not change."""
    metadata = _reflected(connection)
    return {
        table.name: [dict(row._mapping) for row in connection.execute(table.select().order_by(*table.primary_key))]
        for table in metadata.sorted_tables
    }


def _reflected(connection: Connection) -> MetaData:
    names = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
    metadata = MetaData()
    metadata.reflect(connection, only=names)
    return metadata


def _wanted(column: Column[Any]) -> bool:
    counted = column.primary_key and isinstance(column.type, Integer) and not column.foreign_keys
    return not counted or len(column.table.primary_key) > 1


def _value(metadata: MetaData, column: Column[Any], number: int) -> Any:
    for key in column.foreign_keys:
        parent, _, name = key.target_fullname.rpartition(".")
        return _parent(metadata.tables[parent], name, metadata, number)
    if (column.table.name, column.name) in _CHOICES:
        return _CHOICES[column.table.name, column.name][number]
    return _plain(column, number)


def _parent(table: Table, name: str, metadata: MetaData, number: int) -> Any:
    column = table.columns[name]
    return _value(metadata, column, number) if _wanted(column) else number + 1


def _plain(column: Column[Any], number: int) -> Any:
    kind = column.type
    if isinstance(kind, (JSON, JSONB)) or column.name in _JSON:
        return _JSON.get(column.name, {} if column.name in _MAPS else [])
    if isinstance(kind, DateTime | Date):
        return MOMENT.replace(day=number + 1, tzinfo=MOMENT.tzinfo if getattr(kind, "timezone", False) else None)
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, LargeBinary):
        return b"x"
    if isinstance(kind, Integer | Numeric | Float):
        return number + 1
    length = kind.length if isinstance(kind, String) and kind.length else 64
    return f"{column.name[:20]}-{number}"[-length:]
