# SPDX-License-Identifier: Apache-2.0
"""``furo push`` and ``furo pull``."""

from __future__ import annotations

from pathlib import Path

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import transfer_bar
from furoshiki.cli.declared import FORM, Tensor, declared, parse_tensors
from furoshiki.cli.refs import Ref, parse_any_ref
from furoshiki.cli.render import print_json, show_facts
from furoshiki.cli.versions import show_version


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE.", ctx, param)
        pairs[key] = text
    return pairs


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--name", required=True, help="The model; created if missing.")
@click.option("--format", "form", help="onnx, tflite …; told from the file names if left out.")
@click.option("--description", help="For a model that is created now.")
@click.option("--tag", "tags", multiple=True, help="For a model that is created now; may be repeated.")
@click.option(
    "--metadata",
    "-m",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help="Recorded in the signed manifest; may be repeated.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar=FORM,
    callback=parse_tensors,
    help="Of a TorchScript file, which does not know its tensors; one for each, in the order of forward.",
)
@click.option("--result", "results", multiple=True, metavar=FORM, callback=parse_tensors, help="Likewise.")
@with_app
def push(
    app: App,
    *,
    source: Path,
    name: str,
    form: str | None,
    description: str | None,
    tags: tuple[str, ...],
    metadata: dict[str, str],
    inputs: tuple[Tensor, ...],
    results: tuple[Tensor, ...],
) -> None:
    """Register a file or directory as a model's next version.

    Large files go in parts over several connections. After a cut, push again: what arrived is not sent twice.
    """
    with declared(source, inputs, results) as beside, transfer_bar(app) as progress:
        version = app.client.models.push(
            name,
            source,
            format=form,
            description=description,
            tags=tags,
            metadata=metadata,
            beside=beside,
            progress=progress,
        )
    app.say(f"Registered and signed {version.ref}.")
    show_version(app, version)


@click.command()
@click.argument("ref", callback=parse_any_ref, metavar="MODEL[@VERSION|@ALIAS]")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--co-signature",
    type=click.Path(path_type=Path),
    help="Also write a P-256 co-signature to this file, outside DIRECTORY; see `furo signing p256-key`.",
)
@with_app
def pull(app: App, *, ref: Ref, directory: Path, co_signature: Path | None) -> None:
    """Download a version's signed bundle.

    DIRECTORY must be new or empty. Every digest is checked; the directory appears complete or not at all. `furo verify`
    checks who signed it.
    """
    version = app.client.versions.resolve(ref.model, ref.selector)
    with transfer_bar(app) as progress:
        app.client.versions.download(version.model, version.version, directory, progress=progress)
    if co_signature is not None:
        co_signature.write_bytes(app.client.signing.co_signature(version.model, version.version))
    facts = {"ref": version.ref, "directory": str(directory), "digest": version.digest}
    if app.output == "json":
        print_json(facts)
    else:
        show_facts([(name.capitalize(), fact) for name, fact in facts.items()])
