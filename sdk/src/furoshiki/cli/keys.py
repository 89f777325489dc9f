# SPDX-License-Identifier: Apache-2.0
"""``furo keys``. A new key is shown once, on stdout and alone there, so that a pipe can take it to where it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import print_json, show_list
from furoshiki.keys import NewKey

ROLES = (
    *("viewer", "user", "developer", "approver"),
    *("model-admin", "tenant-admin", "platform-admin", "service"),
)
COLUMNS = {
    "id": "ID",
    "name": "NAME",
    "roles": "ROLES",
    "created_at": "CREATED",
    "expires_at": "EXPIRES",
    "last_used_at": "LAST USED",
}
_TENANT = click.option("--tenant", help="Another tenant than your own; for platform administrators.")


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke API keys."""


@keys.command("create")
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="May be repeated.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="After which it ends; without: never.")
@_TENANT
@with_app
def create(app: App, *, name: str, roles: tuple[str, ...], days: float | None, tenant: str | None) -> None:
    """Make a key called NAME. Its secret is on stdout, this once."""
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    _show(app, app.client.keys.create(name, roles=roles, tenant=tenant, expires_at=expires_at))


@keys.command("list")
@_TENANT
@with_app
def list_keys(app: App, *, tenant: str | None) -> None:
    """List the keys in force."""
    show_list(app, app.client.keys.list(tenant=tenant), COLUMNS)


@keys.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    type=click.IntRange(min=0),
    default=3600,
    show_default=True,
    help="Seconds for which the secret it has works on.",
)
@_TENANT
@with_app
def rotate(app: App, *, key_id: str, overlap: int, tenant: str | None) -> None:
    """Give the key ID a new secret. It is on stdout, this once."""
    _show(app, app.client.keys.rotate(key_id, overlap=overlap, tenant=tenant))


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@_TENANT
@with_app
def revoke(app: App, *, key_id: str, tenant: str | None) -> None:
    """End the key ID, for ever."""
    app.client.keys.revoke(key_id, tenant=tenant)
    app.say(f"Key {key_id} is revoked; it stops working within 5 seconds everywhere.")


def _show(app: App, made: NewKey) -> None:
    if app.output == "json":
        print_json(made)
        return
    app.say(
        f"Key {made.id} ({made.name}) of {made.tenant}: {', '.join(made.roles)}. Keep it now; it is shown this once:"
    )
    click.echo(made.key)
