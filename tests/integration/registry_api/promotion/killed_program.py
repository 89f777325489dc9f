# SPDX-License-Identifier: Apache-2.0
"""Promotes versions 1 and 2 of ``digits`` in turn, each time in a child that kills itself one step later than the last.

    python -m tests.integration.registry_api.promotion.killed_program HOME

A step is a statement before or after it runs, or a commit before it runs. After each child one JSON line tells its step,
whether it was killed, where the versions stand and how many entries the history has. The first child that is not killed ends
the program: there was no later step.
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

from registry_api.bootstrap.platform import open_platform, open_services
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.models.values import Stage
from registry_api.promotion.service import PromotionService
from registry_api.settings.registry import Settings

ANN = Principal(tenant="default", key_id="k1", name="ann", roles=frozenset({Role.MODEL_ADMIN}))


def main(home: Path) -> None:
    """Runs children until one lives."""
    step, living = 0, False
    while not living:
        step += 1
        version = 1 + (_production(home) == 1)
        child = os.fork()
        if child == 0:
            asyncio.run(_promote(home, version, step))
            os._exit(0)
        living = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(json.dumps({"step": step, "killed": not living, "wanted": version, **_look(home)}), flush=True)


async def _promote(home: Path, version: int, step: int) -> None:
    async with open_platform(Settings(home=home)) as platform, open_services(platform) as services:
        left = step

        def count(*_: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        engine = platform.db.engine.sync_engine
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(engine, name, count)
        service = services.get(PromotionService)
        await service.change_stage(ANN, "digits", version, Stage.PRODUCTION, "better")
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.remove(engine, name, count)


def _look(home: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        stages = dict(connection.execute("SELECT version, stage FROM versions").fetchall())
        entries = connection.execute("SELECT count(*) FROM audit_entries WHERE action = 'version.stage_changed'")
        events = connection.execute("SELECT count(*) FROM events WHERE kind = 'version.stage_changed'")
        return {"stages": stages, "entries": entries.fetchone()[0], "events": events.fetchone()[0]}


def _production(home: Path) -> int | None:
    stages = _look(home)["stages"]
    return next((version for version, stage in stages.items() if stage == "PRODUCTION"), None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
