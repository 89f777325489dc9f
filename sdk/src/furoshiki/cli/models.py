# SPDX-License-Identifier: Apache-2.0
"""``furo models``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_list, show_one

COLUMNS = {
    "name": "MODEL",
    "latest_version": "LATEST",
    "production_version": "PRODUCTION",
    "updated_at": "UPDATED",
    "description": "DESCRIPTION",
}
FACTS = {
    "name": "Model",
    "tenant": "Tenant",
    "description": "Description",
    "tags": "Tags",
    "latest_version": "Latest version",
    "production_version": "In production",
    "created_at": "Created",
    "updated_at": "Updated",
    "deletion": "Deleted",
}
DELETED = {"name": "MODEL", "latest_version": "LATEST", "deletion": "DELETED"}


@click.command()
@click.argument("name", required=False)
@click.option("--deleted", is_flag=True, help="Those that were deleted and can be restored.")
@with_app
def models(app: App, *, name: str | None, deleted: bool) -> None:
    """List the models, or show the one called NAME."""
    if deleted:
        show_list(app, app.client.models.list(name, deleted=True), DELETED)
    elif name is None:
        show_list(app, app.client.models.list(), COLUMNS)
    else:
        show_one(app, app.client.models.get(name), FACTS)
