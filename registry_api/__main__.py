# SPDX-License-Identifier: Apache-2.0
"""``python -m registry_api serve | worker | migrate``. Settings come from the environment; see registry_api/settings.py.

Exit codes: 0 after a normal stop, 2 for a wrong command, 78 when the process cannot start as configured.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from typing import Any, Final, NoReturn

import click
import uvloop

from core.errors import InitError
from core.telemetry import logs
from registry_api.settings import Settings

NOT_CONFIGURED: Final = 78  # EX_CONFIG of sysexits.h


@click.group(help=__doc__)
def main() -> None:
    """The registry's processes."""


@main.command(help="Serve the REST API.")
def serve() -> None:
    """Serves until a signal comes."""
    from registry_api.server import serve as run

    settings = _start("registry")
    _run(run(settings))


@main.command(help="Run jobs: builds and deployments.")
def worker() -> None:
    """Works until a signal comes."""
    from registry_api.worker import run

    settings = _start("worker")
    _run(run(settings))


@main.command(help="Bring the database to the current schema, and stop.")
def migrate() -> None:
    """Runs the pending migrations."""
    from registry_api.db.migrations import head
    from registry_api.firststart import exclusive
    from registry_api.firststart import migrate as run

    settings = _start("migrate")

    async def migrate_alone() -> None:
        async with exclusive(settings):
            await run(settings)

    _run(migrate_alone())
    click.echo(head())


def _start(service: str) -> Settings:
    try:
        settings = Settings.read()
    except InitError as error:
        _refuse(error)
    logs.configure(level=settings.log.level, style=settings.log.style, service=service)
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        uvloop.run(work)
    except InitError as error:
        _refuse(error)
    except KeyboardInterrupt:
        return


def _refuse(error: InitError) -> NoReturn:
    click.echo(str(error), err=True)
    sys.exit(NOT_CONFIGURED)


if __name__ == "__main__":
    main(prog_name="python -m registry_api")
