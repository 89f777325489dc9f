# SPDX-License-Identifier: Apache-2.0
"""``furo jobs`` and ``furo cancel``. What a job says while it runs: ``furo logs --job``."""

from __future__ import annotations

from typing import Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_list, show_one

COLUMNS: Final = {
    "id": "JOB",
    "kind": "KIND",
    "state": "STATE",
    "step": "STEP",
    "attempt": "ATTEMPT",
    "created_at": "CREATED",
    "finished_at": "FINISHED",
}
FACTS: Final = {
    "id": "Job",
    "kind": "Kind",
    "state": "State",
    "step": "Step",
    "attempt": "Attempt",
    "error.code": "Error",
    "error.message": "Why",
    "created_at": "Created",
    "started_at": "Started",
    "finished_at": "Finished",
}
_STATES: Final = ("queued", "running", "succeeded", "failed", "cancelled")


@click.command()
@click.argument("job", required=False)
@click.option("--state", type=click.Choice(_STATES), help="Only those.")
@click.option("--kind", help="Only jobs of this kind, such as build or image.")
@with_app
def jobs(app: App, *, job: str | None, state: str | None, kind: str | None) -> None:
    """List the jobs, newest first, or show the one called JOB."""
    if job is None:
        show_list(app, app.client.jobs.list(state=state, kind=kind), COLUMNS)
    else:
        show_one(app, app.client.jobs.get(job), FACTS)


@click.command()
@click.argument("job")
@with_app
def cancel(app: App, *, job: str) -> None:
    """End the job JOB, such as a conversion's. A running one ends a moment later, with all it started."""
    show_one(app, app.client.jobs.cancel(job), FACTS)
