# SPDX-License-Identifier: Apache-2.0
"""``furo versions``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click
import msgspec

from furoshiki.bundle import TrustPolicy
from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import print_json, show_facts, show_list
from furoshiki.versions import Tensor, Version

COLUMNS = {
    "version.version": "VERSION",
    "version.stage": "STAGE",
    "revoked": "REVOKED",
    "version.format": "FORMAT",
    "version.size": "BYTES",
    "version.created_at": "CREATED",
    "version.created_by": "BY",
    "version.digest": "DIGEST",
}
DELETED = {"version": "VERSION", "stage": "STAGE", "digest": "DIGEST", "deletion": "DELETED"}


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.option("--stage", help="Only versions in this stage.")
@click.option("--deleted", is_flag=True, help="Those that were deleted and can be restored.")
@with_app
def versions(app: App, *, ref: Ref, stage: str | None, deleted: bool) -> None:
    """List the versions of a model, or show one. `furo versions digits`, `furo versions digits@3`.

    Those that are revoked, with their key or by themselves, are marked.
    """
    if ref.version is not None:
        shown = app.client.versions.get(ref.model, ref.version)
        show_version(app, shown, revoked=_revoked(shown, app.client.trust()))
    elif deleted:
        show_list(app, app.client.versions.list(ref.model, stage=stage, deleted=True), DELETED)
    else:
        _show_all(app, list(app.client.versions.list(ref.model, stage=stage)))


def show_version(app: App, version: Version, *, revoked: bool | None = None) -> None:
    """Prints everything about one version.

    Args:
        app: Where to.
        version: The version.
        revoked: Whether it is revoked; None: nobody asked.
    """
    if app.output == "json":
        print_json(version if revoked is None else _marked(version, revoked=revoked))
        return
    show_facts(
        [
            ("Version", version.ref),
            ("Stage", version.stage),
            ("Revoked", "yes: nothing loads it" if revoked else None),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    version: Version
    revoked: str


def _show_all(app: App, found: Sequence[Version]) -> None:
    policy = app.client.trust()
    if app.output == "json":
        print_json([_marked(version, revoked=_revoked(version, policy)) for version in found])
        return
    rows = (_Listed(version=each, revoked="yes" if _revoked(each, policy) else "") for each in found)
    show_list(app, rows, COLUMNS)


def _revoked(version: Version, policy: TrustPolicy) -> bool:
    return policy.revokes(version.key_id, {version.digest, *(file.digest for file in version.files)})


def _marked(version: Version, *, revoked: bool) -> dict[str, object]:
    return {**msgspec.to_builtins(version), "revoked": revoked}


def _tensors(tensors: Iterable[Tensor]) -> tuple[str, ...]:
    return tuple(f"{tensor.name} {tensor.datatype}{list(tensor.shape)}" for tensor in tensors)
