# SPDX-License-Identifier: Apache-2.0
"""``furo tune``."""

from __future__ import annotations

from typing import Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import job_bar
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import show_list, show_one

FACTS: Final = {
    "id": "Tuning",
    "state": "State",
    "model": "Model",
    "version": "Version",
    "variant": "Variant",
    "device": "Device",
    "chosen": "Chosen",
    "key_id": "Signed by",
    "job_id": "Job",
    "created_at": "Created",
    "finished_at": "Finished",
}
POINTS: Final = {
    "instances": "INSTANCES",
    "threads": "THREADS",
    "rows": "ROWS",
    "rows_per_s": "ROWS/S",
    "p50_ms": "P50 MS",
}


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.option("--variant", help="Such as onnx-fp32/cpu; the version's own if left out.")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Wait, and show what was measured.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@with_app
def tune(app: App, *, ref: Ref, variant: str | None, wait: bool, timeout: float | None) -> None:
    """Measure how a version runs fastest on the worker. `furo tune digits@3 --wait`."""
    tuning = app.client.tunings.create(ref.model, version=ref.version, variant=variant)
    if wait:
        with job_bar(app, f"Tuning {tuning.model}@{tuning.version}") as progress:
            tuning = app.client.tunings.wait(tuning.id, timeout=timeout, progress=progress)
    if app.output == "table" and tuning.measurements:
        show_list(app, tuning.measurements, POINTS)
        click.echo()
    show_one(app, tuning, FACTS)
