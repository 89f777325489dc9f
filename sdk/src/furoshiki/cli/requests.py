# SPDX-License-Identifier: Apache-2.0
"""``furo requests``."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import show_list

COLUMNS = {
    "at": "AT",
    "model": "MODEL",
    "version": "VERSION",
    "code": "CODE",
    "rows": "ROWS",
    "total_us": "TOTAL_US",
    "queue_us": "QUEUE_US",
    "compute_us": "COMPUTE_US",
    "protocol": "PROTOCOL",
    "key_id": "KEY",
    "request_id": "REQUEST",
}


def moment(_context: click.Context, _option: click.Parameter, value: datetime | None) -> datetime | None:
    """A time of the command line, in the local zone."""
    return None if value is None else value.astimezone()


@click.command()
@click.option("--from", "start", type=click.DateTime(), callback=moment, help="Local time; default: 24 hours ago.")
@click.option("--to", "end", type=click.DateTime(), callback=moment, help="Local time; default: now.")
@click.option("--model", help="Of this model only.")
@click.option("--status", type=click.Choice(["ok", "failed"]), help="Only those.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@with_app
def requests(
    app: App, *, start: datetime | None, end: datetime | None, model: str | None, status: str | None, limit: int
) -> None:
    """List logged inference requests, newest first."""
    found = app.client.requests.list(start=start, end=end, model=model, status=status)
    show_list(app, islice(found, limit), COLUMNS)
