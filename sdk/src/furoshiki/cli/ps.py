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
    "revision": "REVISION",
    "ready": "READY",
    "target": "TARGET",
    "auth": "AUTH",
    "url": "URL",
    "runs": "INSTANCES",
    "drift": "DRIFT",
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
    "ready": "Ready",
    "revision": "Revision",
    "serving_revision": "Serving",
    "limits.cpus": "Processors",
    "limits.memory_bytes": "Memory",
    "instances": "Instances",
    "drift": "Drift",
    "error.message": "Error",
    "build_id": "Build",
    "image_id": "Image",
    "job_id": "Job",
    "etag": "ETag",
    "updated_at": "Updated",
}


@click.command()
@click.option("--all", "-a", "everything", is_flag=True, help="Show stopped and failed deployments too.")
@with_app
def ps(app: App, *, everything: bool) -> None:
    """List the deployments, and how many instances are ready."""
    found = app.client.deployments.list()
    shown = [one for one in found if everything or one.state not in ("stopped", "failed")]
    show_list(app, shown, COLUMNS)
