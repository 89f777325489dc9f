# SPDX-License-Identifier: Apache-2.0
"""``furo approve`` and ``furo approvals``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.asking import confirm
from furoshiki.cli.gates import show_readiness, target_option
from furoshiki.cli.refs import Ref, parse_version_ref
from furoshiki.cli.render import show_list, show_one

COLUMNS = {
    "id": "ID",
    "target": "TARGET",
    "approver": "BY",
    "at": "AT",
    "withdrawn_at": "WITHDRAWN",
    "comment": "COMMENT",
    "state": "STATE",
}


@click.command()
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@target_option
@click.option("--state", help="What you looked at, from `furo gates check`; without it, you are shown and asked.")
@click.option("--comment", default="", help="For the history.")
@with_app
def approve(app: App, *, ref: Ref, target: str, state: str | None, comment: str) -> None:
    """Approve a version that somebody else registered. Void once evidence, model card or gates change."""
    assert ref.version is not None  # parse_version_ref
    if state is None:
        found = app.client.gates.readiness(ref.model, ref.version, target)
        if app.output == "table":
            show_readiness(app, found)
        confirm(f"Approve {ref} for {target}?", without="--state")
        state = found.state
    given = app.client.approvals.give(ref.model, ref.version, state=state, target=target, comment=comment)
    show_one(app, given, COLUMNS)


@click.command()
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@click.option("--withdraw", type=click.IntRange(min=1), metavar="ID", help="Take your own approval back.")
@with_app
def approvals(app: App, *, ref: Ref, withdraw: int | None) -> None:
    """List the approvals of a version, or take one back."""
    assert ref.version is not None  # parse_version_ref
    if withdraw is None:
        show_list(app, app.client.approvals.list(ref.model, ref.version), COLUMNS)
    else:
        show_one(app, app.client.approvals.withdraw(ref.model, ref.version, withdraw), COLUMNS)
