# SPDX-License-Identifier: Apache-2.0
"""``furo version delete``, ``furo version restore``, and the same for models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.asking import confirm
from furoshiki.cli.models import FACTS
from furoshiki.cli.refs import Ref, parse_version_ref
from furoshiki.cli.render import show_one
from furoshiki.cli.versions import show_version
from furoshiki.errors import Conflict

STILL_USED: Final = "STATE_004"

_REASON = click.option("--reason", required=True, help="Why; kept in the history.")
_YES = click.option("--yes", "-y", is_flag=True, help="Do not ask.")


@click.group()
def version() -> None:
    """Delete and restore versions; `furo versions` lists them."""


@click.group()
def model() -> None:
    """Delete and restore models; `furo models` lists them."""


@version.command("delete")
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@_REASON
@_YES
@with_app
def delete_version(app: App, *, ref: Ref, reason: str, yes: bool) -> None:
    """Delete a version. It can be restored for some weeks; `furo versions MODEL --deleted` says until when."""
    assert ref.version is not None  # parse_version_ref
    if not yes:
        confirm(f"Delete {ref}?", without="--yes")
    with _explained(app):
        show_version(app, app.client.versions.delete(ref.model, ref.version, reason=reason))


@version.command("restore")
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@_REASON
@with_app
def restore_version(app: App, *, ref: Ref, reason: str) -> None:
    """Bring a deleted version back as it was."""
    assert ref.version is not None  # parse_version_ref
    show_version(app, app.client.versions.restore(ref.model, ref.version, reason=reason))


@model.command("delete")
@click.argument("name")
@_REASON
@_YES
@with_app
def delete_model(app: App, *, name: str, reason: str, yes: bool) -> None:
    """Delete a model with all its versions. It can be restored for some weeks; `furo models --deleted` says until when."""
    if not yes:
        confirm(f"Delete {name} and all its versions?", without="--yes")
    with _explained(app):
        show_one(app, app.client.models.delete(name, reason=reason), FACTS)


@model.command("restore")
@click.argument("name")
@_REASON
@with_app
def restore_model(app: App, *, name: str, reason: str) -> None:
    """Bring a deleted model back with the versions it had."""
    show_one(app, app.client.models.restore(name, reason=reason), FACTS)


@contextmanager
def _explained(app: App) -> Iterator[None]:
    """Says of everything that stands in the way how to clear it."""
    try:
        yield
    except Conflict as conflict:
        if conflict.code == STILL_USED and app.output == "table":
            for used in conflict.details.get("uses", ()):
                app.say(f"version {used['version']}: {used['use']} {used['name']}. {used['clear']}")
        raise
