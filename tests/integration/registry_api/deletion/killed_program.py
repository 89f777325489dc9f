# SPDX-License-Identifier: Apache-2.0
"""Purges the deleted model ``digits`` in one child after the other, each killing itself one step later than the last.

    python -m tests.integration.registry_api.deletion.killed_program HOME

A step is a statement or a commit, before it runs. Before each step the database is put back to where the first child found
it. After a child, and after the sweep that follows one killed half-way, a JSON line tells the step, whether the child was
killed, and what the database holds. The first child that is not killed ends the program: there was no later step.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import event

from core.clock import ManualClock
from registry_api.db.engine import create_engine
from registry_api.db.session import Database
from registry_api.deletion.purging.purger import Purger
from registry_api.schema import METADATA

TABLES = ("versions", "version_files", "variants", "model_cards", "uploads", "upload_files", "builds", "deployments")


def main(home: Path) -> None:
    """Runs children until one lives."""
    step, living = 0, False
    with closing(sqlite3.connect(":memory:")) as first:
        _copy(home / "registry.db", first)
        untouched = _look(home)
        while not living:
            step += 1
            _restore(first, home / "registry.db")
            living = _child(home, step)
            print(json.dumps({"step": step, "killed": not living, **_look(home)}), flush=True)
            if not living and _look(home) != untouched:
                _child(home, 1_000_000)  # the next sweep
                print(json.dumps({"step": step, "killed": False, **_look(home)}), flush=True)


def _child(home: Path, step: int) -> bool:
    """Purges in a child; whether it lived."""
    assert METADATA.tables  # every table is known
    child = os.fork()
    if child == 0:
        asyncio.run(_purge(home, step))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code == 0


async def _purge(home: Path, step: int) -> None:
    clock = ManualClock()
    clock.advance(31 * 24 * 3600)
    engine = create_engine(f"sqlite+aiosqlite:///{home / 'registry.db'}")
    left = step

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("before_cursor_execute", "commit"):
        event.listen(engine.sync_engine, name, count)
    await Purger(Database(engine), clock).purge()


def _copy(database: Path, target: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(database)) as source:
        source.backup(target)


def _restore(source: sqlite3.Connection, database: Path) -> None:
    with closing(sqlite3.connect(database)) as target:
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target)


def _look(home: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
        told = "SELECT action, count(*) FROM audit_entries WHERE action LIKE '%.purged' GROUP BY action"
        events = "SELECT kind, count(*) FROM events WHERE kind LIKE '%.purged' GROUP BY kind"
        closed = connection.execute("SELECT purged_at IS NOT NULL FROM models WHERE name = 'digits'").fetchone()[0]
        return {
            "rows": counts,
            "entries": dict(connection.execute(told).fetchall()),
            "events": dict(connection.execute(events).fetchall()),
            "closed": bool(closed),
        }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
