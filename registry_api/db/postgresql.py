# SPDX-License-Identifier: Apache-2.0
"""The engine for PostgreSQL, through asyncpg.

Rules. Every connection tells the server how long a statement, a wait for a lock and an idle transaction may last, so a stuck
request ends on the server too. A connection that the server has closed (a restart, a kill) is noticed when it is taken from
the pool, without a question to the server; one that ends later is an error of that transaction only
(:mod:`registry_api.db.faults`).

PgBouncer in transaction mode keeps no prepared statements and no settings of a connection: use ``prepared_statements`` 0, let
it ignore the start-up parameters ``statement_timeout``, ``lock_timeout`` and ``idle_in_transaction_session_timeout``, and
give these to the role (``ALTER ROLE … SET``).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_NAME_CHARS: Final = 63  # PostgreSQL cuts longer names


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """Limits of the pool and of what runs on its connections; seconds."""

    pool_size: int = 10  # connections of this process at most
    pool_wait: float = 10.0  # how long a transaction waits for one
    pool_recycle: float = 1800.0  # a connection older than this is replaced when it is taken
    connect: float = 10.0  # how long making a connection may take
    statement: float = 30.0
    lock: float = 10.0
    idle: float = 60.0  # of a transaction between two statements
    prepared_statements: int = 256  # kept per connection; 0 behind PgBouncer
    application: str = "furoshiki"  # shown in pg_stat_activity


def create_postgresql(url: str, options: PostgresOptions) -> AsyncEngine:
    """An engine for ``url`` (``postgresql+asyncpg://role@host/database``)."""
    engine = create_async_engine(
        url,
        pool_size=options.pool_size,
        max_overflow=0,
        pool_timeout=options.pool_wait,
        pool_recycle=int(options.pool_recycle),
        connect_args=_connect_args(options),
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _connect_args(options: PostgresOptions) -> dict[str, Any]:
    settings = {
        "application_name": options.application[:_NAME_CHARS],
        "statement_timeout": _milliseconds(options.statement),
        "lock_timeout": _milliseconds(options.lock),
        "idle_in_transaction_session_timeout": _milliseconds(options.idle),
        "jit": "off",  # its compiler costs more than these statements take
    }
    args: dict[str, Any] = {
        "server_settings": settings,
        "timeout": options.connect,
        "prepared_statement_cache_size": options.prepared_statements,
    }
    if options.prepared_statements == 0:
        args |= {"statement_cache_size": 0, "prepared_statement_name_func": lambda: f"__furoshiki_{uuid4().hex}__"}
    return args


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))  # 0 would mean: without a limit


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    if connection.driver_connection.is_closed():
        raise DisconnectionError("closed by the server")


def application_name() -> str:
    """What this process calls itself before the server: the command it was started as."""
    words = [word for word in sys.argv[1:2] if word.isalpha()]
    return "-".join(["furoshiki", Path(sys.argv[0]).stem if not words else words[0]])
