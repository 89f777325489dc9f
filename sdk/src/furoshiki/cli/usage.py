# SPDX-License-Identifier: Apache-2.0
"""``furo usage``."""

from __future__ import annotations

from datetime import datetime

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.render import print_json, show_facts, show_list
from furoshiki.cli.requests import moment

COLUMNS = {
    "group": "GROUP",
    "requests": "REQUESTS",
    "failures": "FAILURES",
    "refused": "REFUSED",
    "rows": "ROWS",
    "compute_seconds": "COMPUTE_S",
    "p50_ms": "P50_MS",
    "p95_ms": "P95_MS",
    "p99_ms": "P99_MS",
}


@click.command()
@click.option("--from", "start", type=click.DateTime(), callback=moment, help="Local time; default: 30 days ago.")
@click.option("--to", "end", type=click.DateTime(), callback=moment, help="Local time; default: now.")
@click.option("--by", type=click.Choice(["model", "key", "day"]), default="model", show_default=True, help="Add up by.")
@click.option("--tenant", help="Another tenant; for platform administrators.")
@with_app
def usage(app: App, *, start: datetime | None, end: datetime | None, by: str, tenant: str | None) -> None:
    """Show what was used and what is kept, beside the limits."""
    report = app.client.usage.report(start=start, end=end, group_by=by, tenant=tenant)
    if app.output == "json":
        print_json(report)
        return
    show_list(app, [*report.groups, report.total], COLUMNS)
    limits = report.limits
    show_facts(
        [
            ("Stored bytes", f"{report.stored_bytes} of {report.stored_bytes_limit or 'no limit'}"),
            ("Busiest hour", f"{report.busiest_rate:.3g} requests/s"),
            ("Requests/s limit", limits.requests_per_second),
            ("Concurrent limit", limits.concurrent_requests),
        ]
    )
