# SPDX-License-Identifier: Apache-2.0
"""``furo deployments``: change what runs, and see what was wanted and what happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.deploy import build_of, optional_ref, show_changed
from furoshiki.cli.ps import FACTS
from furoshiki.cli.refs import Ref
from furoshiki.cli.render import show_list, show_one
from furoshiki.cli.sizes import parse_size

EVENTS: Final = {"at": "AT", "kind": "EVENT", "message": "MESSAGE"}
REVISIONS: Final = {
    "revision": "REVISION",
    "model": "MODEL",
    "version": "VERSION",
    "auth": "AUTH",
    "digest": "DIGEST",
    "reason": "REASON",
    "created_by": "BY",
    "created_at": "CREATED",
}

F = TypeVar("F", bound=Callable[..., Any])


def _quoted(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """An ETag with its quotes, which shells take away."""
    return value if value is None or value.startswith('"') else f'"{value}"'


def _changing(command: F) -> F:
    command = click.option("--timeout", type=float, help="Seconds to wait at most.")(command)
    command = click.option(
        "--etag", callback=_quoted, help="Only if it is still as `furo deployments show` showed it with this ETag."
    )(command)
    wait = click.option("--wait/--no-wait", default=False, show_default=True, help="Wait until it is as wanted.")
    return wait(command)


@click.group()
def deployments() -> None:
    """Change deployments without a gap: update, scale, roll back."""


@deployments.command()
@click.argument("name")
@with_app
def show(app: App, *, name: str) -> None:
    """Show one deployment with its instances."""
    show_one(app, app.client.deployments.get(name), FACTS)


@deployments.command()
@click.argument("name")
@click.argument("ref", callback=optional_ref, metavar="[MODEL[@VERSION]]", required=False)
@click.option("--image", "image_id", help="Another image.")
@click.option("--variant", help="Such as onnx-fp32/cpu; any if left out.")
@click.option("--auth", type=click.Choice(["api_key", "open"]), help="Who may call it.")
@click.option("--cpus", type=float, help="The most processors of each instance; give --memory too, or it has no limit.")
@click.option("--memory", callback=parse_size, help="The most memory of each instance, such as 512M.")
@_changing
@with_app
def update(
    app: App,
    *,
    name: str,
    ref: Ref | None,
    image_id: str | None,
    variant: str | None,
    auth: str | None,
    cpus: float | None,
    memory: int | None,
    etag: str | None,
    wait: bool,
    timeout: float | None,
) -> None:
    """Serve something else under NAME: `furo deployments update digits digits@4 --wait`.

    What serves goes on until the new instances have answered, and for good if they do not.
    """
    if ref is not None and image_id is not None:
        raise click.UsageError("Name MODEL[@VERSION] or --image, not both.")
    build_id = None if ref is None else build_of(app, ref, variant, timeout=timeout).id
    changed = app.client.deployments.update(
        name, build_id=build_id, image_id=image_id, auth=auth, cpus=cpus, memory_bytes=memory, etag=etag
    )
    show_changed(app, changed, wait=wait, timeout=timeout, doing="Updating")


@deployments.command()
@click.argument("name")
@click.argument("replicas", type=click.IntRange(min=1))
@_changing
@with_app
def scale(app: App, *, name: str, replicas: int, etag: str | None, wait: bool, timeout: float | None) -> None:
    """Run so many instances."""
    changed = app.client.deployments.update(name, replicas=replicas, etag=etag)
    show_changed(app, changed, wait=wait, timeout=timeout, doing="Scaling")


@deployments.command()
@click.argument("name")
@click.option("--revision", type=click.IntRange(min=1), help="Which one; what served last if left out.")
@click.option("--reason", help="For the history.")
@_changing
@with_app
def rollback(
    app: App,
    *,
    name: str,
    revision: int | None,
    reason: str | None,
    etag: str | None,
    wait: bool,
    timeout: float | None,
) -> None:
    """Go back to an earlier revision."""
    changed = app.client.deployments.rollback(name, revision=revision, reason=reason, etag=etag)
    show_changed(app, changed, wait=wait, timeout=timeout, doing="Rolling back")


@deployments.command()
@click.argument("name")
@with_app
def revisions(app: App, *, name: str) -> None:
    """List what was wanted, newest first."""
    show_list(app, app.client.deployments.revisions(name), REVISIONS)


@deployments.command()
@click.argument("name")
@with_app
def events(app: App, *, name: str) -> None:
    """List what happened, newest first."""
    show_list(app, app.client.deployments.events(name), EVENTS)
