# SPDX-License-Identifier: Apache-2.0
"""``furo report``: the forms of a version and how they compare with their source; one report, their pictures, the choice."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import show_list, show_one
from furoshiki.errors import NotFound

FORMS: Final = {
    "name": "VARIANT",
    "state": "STATE",
    "result.size": "BYTES",
    "result.ratio": "SMALLER",
    "result.cosine": "COSINE",
    "result.top1_agreement": "AGREEMENT",
    "result.source_p50_ms": "SOURCE MS",
    "result.p50_ms": "MS",
    "result.verdict": "VERDICT",
}
CHOICE: Final = {"variant.name": "Variant", "why": "Why"}
OBJECTIVES: Final = ("source", "latency", "throughput", "size", "fidelity")


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.argument("variant", required=False)
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the report, or all variants, into FILE (SVG).")
@click.option("--choose", type=click.Choice(OBJECTIVES), help="Say which form to use for this, and why.")
@click.option("--device", default="cpu", show_default=True, help="Where it is to run, with --choose.")
@click.option("--fidelity", type=float, help="The least cosine with the source's answers, with --choose.")
@with_app
def report(
    app: App,
    *,
    ref: Ref,
    variant: str | None,
    picture: Path | None,
    choose: str | None,
    device: str,
    fidelity: float | None,
) -> None:
    """Show how variants compare with their source. `furo report digits@3`, `furo report digits@3 tflite-int8/cpu`."""
    client = app.client
    version = ref.version or client.versions.resolve(ref.model).version
    if choose is not None:
        chosen = client.variants.choose(ref.model, version, device=device, objective=choose, fidelity=fidelity)
        show_one(app, chosen, CHOICE)
        return
    if variant is None and picture is not None:
        _write(app, picture, client.variants.picture(ref.model, version))
        return
    forms = client.variants.list(ref.model, version)
    if variant is None:
        show_list(app, forms, FORMS)
        return
    conversion = next((form.conversion for form in forms if form.name == variant), None)
    if conversion is None:
        raise NotFound("CONVERT_001", f"{ref.model}@{version} has no converted variant {variant!r}.")
    if picture is not None:
        _write(app, picture, client.conversions.picture(conversion, variant=variant))
    else:
        click.echo(client.conversions.report(conversion, variant=variant).decode())


def _write(app: App, file: Path, picture: bytes) -> None:
    file.write_bytes(picture)
    app.say(f"Wrote {file}.")
