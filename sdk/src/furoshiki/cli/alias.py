# SPDX-License-Identifier: Apache-2.0
"""``furo alias``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_alias_ref, parse_ref
from furoshiki.cli.render import show_list, show_one

COLUMNS = {"alias": "ALIAS", "version": "VERSION", "moved_at": "MOVED", "moved_by": "BY"}

_REASON = click.option("--reason", required=True, help="Why; kept in the history.")


@click.group()
def alias() -> None:
    """Give versions names that move: digits@champion."""


@alias.command("list")
@click.argument("ref", callback=parse_ref, metavar="MODEL")
@with_app
def list_aliases(app: App, *, ref: Ref) -> None:
    """List the aliases of a model."""
    show_list(app, app.client.aliases.list(ref.model), COLUMNS)


@alias.command("set")
@click.argument("ref", callback=parse_alias_ref, metavar="MODEL@ALIAS")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--expected", type=click.IntRange(min=1), help="The version it points at now; none: it is new.")
@click.option("--override", is_flag=True, help="In an emergency, although gates are not met; recorded.")
@_REASON
@with_app
def set_alias(app: App, *, ref: Ref, version: int, expected: int | None, override: bool, reason: str) -> None:
    """Point an alias at a version. `furo alias set digits@champion 4 --expected 3 --reason "0.98"`."""
    assert ref.alias is not None  # parse_alias_ref
    moved = app.client.aliases.move(ref.model, ref.alias, version, expected=expected, reason=reason, override=override)
    show_one(app, moved, COLUMNS)


@alias.command("remove")
@click.argument("ref", callback=parse_alias_ref, metavar="MODEL@ALIAS")
@click.option("--expected", type=click.IntRange(min=1), required=True, help="The version it points at now.")
@_REASON
@with_app
def remove_alias(app: App, *, ref: Ref, expected: int, reason: str) -> None:
    """Remove an alias."""
    assert ref.alias is not None  # parse_alias_ref
    app.client.aliases.remove(ref.model, ref.alias, expected=expected, reason=reason)
    app.say(f"Removed {ref}.")
