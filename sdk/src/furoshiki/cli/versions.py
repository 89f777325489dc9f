# SPDX-License-Identifier: Apache-2.0
"""``furo versions``."""

from __future__ import annotations

from collections.abc import Iterable

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import print_json, show_facts, show_list
from furoshiki.versions import Tensor, Version

COLUMNS = {
    "version": "VERSION",
    "stage": "STAGE",
    "format": "FORMAT",
    "size": "BYTES",
    "created_at": "CREATED",
    "created_by": "BY",
    "digest": "DIGEST",
}
DELETED = {"version": "VERSION", "stage": "STAGE", "digest": "DIGEST", "deletion": "DELETED"}


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.option("--stage", help="Only versions in this stage.")
@click.option("--deleted", is_flag=True, help="Those that were deleted and can be restored.")
@with_app
def versions(app: App, *, ref: Ref, stage: str | None, deleted: bool) -> None:
    """List the versions of a model, or show one: `furo versions digits`, `furo versions digits@3`."""
    if ref.version is None:
        found = app.client.versions.list(ref.model, stage=stage, deleted=deleted)
        show_list(app, found, DELETED if deleted else COLUMNS)
    else:
        show_version(app, app.client.versions.get(ref.model, ref.version))


def show_version(app: App, version: Version) -> None:
    """Prints everything about one version."""
    if app.output == "json":
        print_json(version)
        return
    show_facts(
        [
            ("Version", version.ref),
            ("Stage", version.stage),
            ("Deprecated", version.deprecation),
            ("Deleted", version.deletion),
            ("Format", version.format),
            ("Digest", version.digest),
            ("Signed by", version.key_id),
            ("Bytes", version.size),
            ("Files", tuple(file.path for file in version.files)),
            ("Inputs", _tensors(version.inputs)),
            ("Outputs", _tensors(version.outputs)),
            ("Variants", tuple(variant.name for variant in version.variants)),
            ("Description", version.description),
            ("Tags", version.tags),
            ("Metadata", tuple(f"{key}={value}" for key, value in version.metadata.items())),
            ("Created", version.created_at),
        ]
    )


def _tensors(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    return tuple(f"{tensor.name} {tensor.datatype}{list(tensor.shape)}" for tensor in tensors)
