# SPDX-License-Identifier: Apache-2.0
"""``furo gates``."""

from __future__ import annotations

from typing import IO

import click
import msgspec

from furoshiki.cli.app import App, with_app
from furoshiki.cli.exits import Exit
from furoshiki.cli.refs import Ref, parse_version_ref
from furoshiki.cli.render import print_json, show_facts, show_list, show_one
from furoshiki.gates import Readiness

EVIDENCE = {"id": "ID", "kind": "KIND", "digest": "DIGEST", "author": "BY", "at": "AT"}
KINDS = ("parity", "latency", "sbom", "evaluation")

target_option = click.option(
    "--for", "target", default="PRODUCTION", show_default=True, help="A stage, or an alias such as @champion."
)


@click.group()
def gates() -> None:
    """Say what a stage or an alias asks of a version, and meet it."""


@gates.command()
@click.argument("target", required=False)
@with_app
def show(app: App, *, target: str | None) -> None:
    """Print the gates of TARGET, or all there are, as JSON. TARGET is a stage or an alias, such as @champion."""
    print_json(app.client.gates.all() if target is None else app.client.gates.get(target).gates)


@gates.command("set")
@click.argument("target")
@click.argument("file", type=click.File("rb"))
@with_app
def set_gates(app: App, *, target: str, file: IO[bytes]) -> None:
    """Replace the gates of TARGET with those in FILE. It holds a JSON object, an empty one for no gates; '-' is stdin."""
    print_json(app.client.gates.put(target, _object(file)).gates)


@gates.command()
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@target_option
@with_app
def check(app: App, *, ref: Ref, target: str) -> None:
    """Tell what a version lacks. Exit code 3 if it lacks anything."""
    assert ref.version is not None  # parse_version_ref
    found = app.client.gates.readiness(ref.model, ref.version, target)
    show_readiness(app, found)
    if not found.ready:
        click.get_current_context().exit(Exit.REQUEST)


@gates.command()
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.argument("file", type=click.File("rb"), required=False)
@with_app
def evidence(app: App, *, ref: Ref, kind: str | None, file: IO[bytes] | None) -> None:
    """List the evidence about a version, or add some. FILE holds a JSON document."""
    assert ref.version is not None  # parse_version_ref
    if kind is None:
        show_list(app, app.client.gates.evidence(ref.model, ref.version), EVIDENCE)
    elif file is None:
        raise click.UsageError("Name the FILE to add.")
    else:
        show_one(app, app.client.gates.add_evidence(ref.model, ref.version, kind, _object(file)), EVIDENCE)


def show_readiness(app: App, found: Readiness) -> None:
    """Prints what a version lacks."""
    if app.output == "json":
        print_json(found)
        return
    facts: list[tuple[str, object]] = [
        ("Version", f"{found.model}@{found.version}"),
        ("For", found.target),
        ("Ready", "yes" if found.ready else "no"),
        ("Approvals", found.approvals),
        ("State", found.state),
    ]
    show_facts([*facts, *((lack.gate, lack.message) for lack in found.unmet)])


def _object(file: IO[bytes]) -> dict[str, object]:
    try:
        return msgspec.json.decode(file.read(), type=dict[str, object])
    except ValueError as error:
        raise click.BadParameter(f"{file.name} is no JSON object: {error}.") from None
