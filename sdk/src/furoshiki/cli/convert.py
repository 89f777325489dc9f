# SPDX-License-Identifier: Apache-2.0
"""``furo convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import job_bar
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import print_json, show_list, show_one

FACTS: Final = {
    "id": "Conversion",
    "state": "State",
    "model": "Model",
    "version": "Version",
    "variant": "Source",
    "to": "To",
    "calibration": "Calibration",
    "job_id": "Job",
    "created_at": "Created",
    "finished_at": "Finished",
}
RESULTS: Final = {
    "variant": "VARIANT",
    "size": "BYTES",
    "ratio": "SMALLER",
    "cosine": "COSINE",
    "top1_agreement": "AGREEMENT",
    "source_p50_ms": "SOURCE MS",
    "p50_ms": "MS",
    "verdict": "VERDICT",
}
ROUTES: Final = {
    "source": "FROM",
    "target": "TO",
    "steps": "STEPS",
    "dynamic_batch": "ANY BATCH",
    "unavailable": "UNAVAILABLE",
}
RECIPES: Final = {
    "name": "RECIPE",
    "source": "FROM",
    "target": "TO",
    "precision": "PRECISION",
    "dynamic_batch": "ANY BATCH",
    "needs": "NEEDS",
    "unavailable": "UNAVAILABLE",
}


def _bounds(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, float | None]:
    bounds: dict[str, float | None] = {}
    for value in values:
        name, _, number = value.partition("=")
        try:
            bounds[name] = None if number == "none" else float(number)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not NAME=NUMBER, such as cosine=0.999.", ctx, param) from None
    return bounds


@click.command()
@click.argument("ref", callback=lambda ctx, param, value: value and parse_ref(ctx, param, value), required=False)
@click.option("--to", help="Such as tflite-int8; the format alone means fp32.")
@click.option("--variant", help="The source, such as onnx-fp32/cpu; what was uploaded if left out.")
@click.option("--calibration", type=click.Path(path_type=Path), help="An .npz or .safetensors FILE of real inputs.")
@click.option("--auto", is_flag=True, help="Try every sensible precision of the format and keep the best.")
@click.option("--route", help="Recipes in their order, with commas.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=_bounds,
    help="A bound of the comparison instead of the precision's, such as cosine=0.999; none: not judged. May be repeated.",
)
@click.option("--list", "listed", is_flag=True, help="List what can be converted into what.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait, and show how the results compare.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@with_app
def convert(
    app: App,
    *,
    ref: Ref | None,
    to: str | None,
    variant: str | None,
    calibration: Path | None,
    auto: bool,
    route: str | None,
    thresholds: dict[str, float | None],
    listed: bool,
    wait: bool,
    timeout: float | None,
) -> None:
    """Convert a version to another format or precision. `furo convert digits@3 --to tflite-int8`."""
    if listed:
        _show_routes(app)
        return
    if ref is None or to is None:
        raise click.UsageError("Name what to convert and into what: furo convert MODEL@VERSION --to tflite-int8.")
    version = ref.version or app.client.versions.resolve(ref.model).version
    data = None if calibration is None else app.client.calibrations.put(ref.model, calibration).name
    steps = None if route is None else route.split(",")
    made = app.client.conversions.create(
        ref.model,
        version,
        to=to,
        variant=variant,
        auto=auto,
        route=steps,
        calibration=data,
        thresholds=thresholds or None,
    )
    if wait:
        with job_bar(app, f"Converting {made.model}@{made.version}") as progress:
            made = app.client.conversions.wait(made.id, timeout=timeout, progress=progress)
    if app.output == "table" and made.results:
        show_list(app, made.results, RESULTS)
        click.echo()
    show_one(app, made, FACTS)


def _show_routes(app: App) -> None:
    found = app.client.conversions.routes()
    if app.output == "json":
        print_json(found)
        return
    show_list(app, found.routes, ROUTES)
    click.echo()
    show_list(app, found.recipes, RECIPES)
