# SPDX-License-Identifier: Apache-2.0
"""``furo webhooks``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import print_json, show_facts, show_list, show_one

COLUMNS = {
    "id": "ID",
    "url": "URL",
    "kinds": "KINDS",
    "models": "MODELS",
    "enabled": "ENABLED",
    "failing_since": "FAILING",
}
DELIVERIES = {
    "id": "ID",
    "kind": "KIND",
    "subject": "SUBJECT",
    "state": "STATE",
    "attempts": "ATTEMPTS",
    "due_at": "DUE",
    "created_at": "CREATED",
}
ATTEMPTS = {"at": "AT", "status": "STATUS", "milliseconds": "MS", "error": "ERROR"}


@click.group()
def webhooks() -> None:
    """Tell other systems what changes in the registry."""


@webhooks.command()
@click.argument("url")
@click.option("--kind", "kinds", multiple=True, help="Only events of this kind, as version.stage_changed; repeatable.")
@click.option("--model", "models", multiple=True, help="Only events about this model; repeatable.")
@click.option("--description", default="", help="For people.")
@with_app
def create(app: App, *, url: str, kinds: tuple[str, ...], models: tuple[str, ...], description: str) -> None:
    """Make a webhook and print its secret, this once."""
    made = app.client.webhooks.create(url, kinds=kinds, models=models, description=description)
    if app.output == "json":
        print_json(made)
    else:
        show_facts([("Webhook", made.id), ("URL", made.url), ("Secret", made.secret)])
        app.say("Keep the secret: it is not shown again. Receivers check signatures with it.")


@webhooks.command("list")
@with_app
def list_webhooks(app: App) -> None:
    """List the webhooks."""
    show_list(app, app.client.webhooks.list(), COLUMNS)


@webhooks.command()
@click.argument("webhook")
@click.option("--on/--off", "enabled", default=None, help="Switch it on or off.")
@click.option("--url", help="Send to another URL.")
@with_app
def update(app: App, *, webhook: str, enabled: bool | None, url: str | None) -> None:
    """Change a webhook."""
    show_one(app, app.client.webhooks.update(webhook, enabled=enabled, url=url), COLUMNS)


@webhooks.command()
@click.argument("webhook")
@with_app
def delete(app: App, *, webhook: str) -> None:
    """Remove a webhook and its deliveries."""
    app.client.webhooks.delete(webhook)
    app.say(f"Removed {webhook}.")


@webhooks.command()
@click.argument("webhook")
@with_app
def test(app: App, *, webhook: str) -> None:
    """Send a test event."""
    show_one(app, app.client.webhooks.test(webhook), DELIVERIES)


@webhooks.command()
@click.argument("webhook")
@click.argument("delivery", required=False)
@click.option("--state", type=click.Choice(["pending", "delivered", "dead"]), help="Only those.")
@with_app
def deliveries(app: App, *, webhook: str, delivery: str | None, state: str | None) -> None:
    """List the deliveries of a webhook, or show the attempts of one."""
    if delivery is None:
        show_list(app, app.client.webhooks.deliveries(webhook, state=state), DELIVERIES)
        return
    found = app.client.webhooks.delivery(webhook, delivery)
    if app.output == "json":
        print_json(found)
    else:
        show_list(app, found.log, ATTEMPTS)


@webhooks.command()
@click.argument("webhook")
@click.argument("delivery")
@with_app
def redeliver(app: App, *, webhook: str, delivery: str) -> None:
    """Deliver again, under the same id."""
    show_one(app, app.client.webhooks.redeliver(webhook, delivery), DELIVERIES)
