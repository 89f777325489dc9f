# SPDX-License-Identifier: Apache-2.0
"""``furo ps``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_list

COLUMNS = {
    "name": "NAME",
    "model": "MODEL",
    "version": "VERSION",
    "state": "STATE",
    "target": "TARGET",
    "auth": "AUTH",
    "url": "URL",
    "updated_at": "UPDATED",
}
FACTS = {
    "name": "Deployment",
    "state": "State",
    "url": "URL",
    "model": "Model",
    "version": "Version",
    "digest": "Digest",
    "target": "Target",
    "auth": "Auth",
    "pid": "Process",
    "build_id": "Build",
    "job_id": "Job",
    "updated_at": "Updated",
}


@click.command()
@click.option("--all", "-a", "everything", is_flag=True, help="Show stopped and failed deployments too.")
@with_app
def ps(app: App, *, everything: bool) -> None:
    """List the deployments."""
    found = app.client.deployments.list()
    shown = [one for one in found if everything or one.state not in ("stopped", "failed")]
    show_list(app, shown, COLUMNS)
