# SPDX-License-Identifier: Apache-2.0
"""``furo tenants``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_list, show_one

COLUMNS = {"name": "TENANT", "display_name": "NAME", "created_at": "CREATED"}
FACTS = {"name": "Tenant", "display_name": "Name", "created_at": "Created"}


@click.group()
def tenants() -> None:
    """Make and list tenants; for platform administrators."""


@tenants.command("create")
@click.argument("name")
@click.option("--display-name", help="What people call it.")
@with_app
def create(app: App, *, name: str, display_name: str | None) -> None:
    """Make a tenant called NAME, with a signing key of its own."""
    show_one(app, app.client.tenants.create(name, display_name=display_name), FACTS)


@tenants.command("list")
@with_app
def list_tenants(app: App) -> None:
    """List all tenants."""
    show_list(app, app.client.tenants.list(), COLUMNS)
