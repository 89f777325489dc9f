# SPDX-License-Identifier: Apache-2.0
"""``furo cancel``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_one

FACTS = {
    "id": "Job",
    "kind": "Kind",
    "state": "State",
    "step": "Step",
    "created_at": "Created",
    "finished_at": "Finished",
}


@click.command()
@click.argument("job")
@with_app
def cancel(app: App, *, job: str) -> None:
    """End the job JOB, such as a conversion's; a running one ends a moment later, with all it started."""
    show_one(app, app.client.jobs.cancel(job), FACTS)
