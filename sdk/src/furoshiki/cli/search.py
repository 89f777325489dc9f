# SPDX-License-Identifier: Apache-2.0
"""``furo search``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_list

COLUMNS = {
    "name": "MODEL",
    "latest_version": "LATEST",
    "production_version": "PRODUCTION",
    "tags": "TAGS",
    "updated_at": "UPDATED",
    "description": "DESCRIPTION",
}
ORDERS = ("name", "-name", "created_at", "-created_at", "updated_at", "-updated_at")


@click.command()
@click.argument("words", nargs=-1)
@click.option("--tag", "tags", multiple=True, metavar="KEY[:VALUE]", help="Has this tag; may be given several times.")
@click.option("--stage", help="Has a version in this stage.")
@click.option("--format", "form", help="Has a version of this format, such as onnx.")
@click.option("--created-after", type=click.DateTime(), help="In UTC.")
@click.option("--created-before", type=click.DateTime(), help="In UTC.")
@click.option("--order", type=click.Choice(ORDERS), default="name", show_default=True, help="A minus: largest first.")
@with_app
def search(
    app: App,
    *,
    words: tuple[str, ...],
    tags: tuple[str, ...],
    stage: str | None,
    form: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
    order: str,
) -> None:
    """Find models by words, tags and stage. Each of WORDS begins a word of name, description, tags or metadata."""
    found = app.client.models.list(
        " ".join(words) or None,
        tags=tags,
        stage=stage,
        format=form,
        created_after=_utc(created_after),
        created_before=_utc(created_before),
        order=order,
    )
    show_list(app, found, COLUMNS)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
