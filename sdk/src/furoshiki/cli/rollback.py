# SPDX-License-Identifier: Apache-2.0
"""``furo rollback``, ``furo history`` and ``furo deprecate``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_ref, parse_version_ref
from furoshiki.cli.render import print_json, show_facts, show_list
from furoshiki.cli.versions import show_version

COLUMNS = {
    "at": "AT",
    "version": "VERSION",
    "from_stage": "FROM",
    "to_stage": "TO",
    "cause": "CAUSE",
    "actor": "BY",
    "reason": "REASON",
}
_TIME = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"])


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL")
@click.option("--reason", required=True, help="Why; kept in the model's history.")
@with_app
def rollback(app: App, *, ref: Ref, reason: str) -> None:
    """Bring back the version that was in PRODUCTION before."""
    show_version(app, app.client.stages.rollback(ref.model, reason=reason))


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL")
@click.option("--at", "moment", type=_TIME, help="What was in PRODUCTION then; UTC unless it names an offset.")
@with_app
def history(app: App, *, ref: Ref, moment: datetime | None) -> None:
    """List what moved between stages, by whom and why. With --at: what was in PRODUCTION at a moment."""
    if moment is None:
        show_list(app, app.client.models.history(ref.model), COLUMNS)
        return
    found = app.client.stages.production_at(ref.model, _aware(moment))
    if app.output == "json":
        print_json(found)
        return
    since = found.since
    show_facts(
        [
            ("At", found.at),
            ("In production", "nothing" if found.version is None else f"{ref.model}@{found.version}"),
            ("Since", None if since is None else since.at),
            ("By", None if since is None else since.actor),
            ("Reason", None if since is None else since.reason),
            ("Digest", None if since is None else since.evidence.get("digest")),
        ]
    )


@click.command()
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@click.option("--reason", required=True, help="Why; kept in the history.")
@click.option("--sunset", type=_TIME, help="When it may stop being served; UTC unless it names an offset.")
@click.option("--message", default="", help="What to use instead.")
@click.option("--undo", is_flag=True, help="Take the deprecation back.")
@with_app
def deprecate(app: App, *, ref: Ref, reason: str, sunset: datetime | None, message: str, undo: bool) -> None:
    """Say that a version is not to be used any more. Every inference answer of it carries that."""
    assert ref.version is not None  # parse_version_ref
    stages = app.client.stages
    if undo:
        show_version(app, stages.restore(ref.model, ref.version, reason=reason))
        return
    until = None if sunset is None else _aware(sunset)
    show_version(app, stages.deprecate(ref.model, ref.version, reason=reason, sunset=until, message=message))


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
