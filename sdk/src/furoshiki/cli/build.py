# SPDX-License-Identifier: Apache-2.0
"""``furo build`` and ``furo builds``."""

from __future__ import annotations

import click

from furoshiki.builds import Build
from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import job_bar
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import show_list, show_one

COLUMNS = {
    "id": "BUILD",
    "model": "MODEL",
    "version": "VERSION",
    "variant": "VARIANT",
    "state": "STATE",
    "tag": "BENTO",
    "size": "BYTES",
    "created_at": "CREATED",
}
FACTS = {
    "id": "Build",
    "state": "State",
    "model": "Model",
    "version": "Version",
    "variant": "Variant",
    "tag": "Bento",
    "size": "Bytes",
    "digest": "Digest",
    "key_id": "Signed by",
    "job_id": "Job",
    "created_at": "Created",
    "finished_at": "Finished",
}


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.option("--variant", help="Such as onnx-fp32/cpu; the version's own if left out.")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Wait until the Bento is built.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@with_app
def build(app: App, *, ref: Ref, variant: str | None, wait: bool, timeout: float | None) -> None:
    """Build the Bento of a version. `furo build digits@3 --wait`."""
    made = app.client.builds.create(ref.model, version=ref.version, variant=variant)
    if wait:
        made = wait_for_build(app, made, timeout)
    show_one(app, made, FACTS)


@click.command()
@click.argument("build_id", metavar="BUILD", required=False)
@with_app
def builds(app: App, *, build_id: str | None) -> None:
    """List the builds, newest first, or show the one called BUILD."""
    if build_id is None:
        show_list(app, app.client.builds.list(), COLUMNS)
    else:
        show_one(app, app.client.builds.get(build_id), FACTS)


def wait_for_build(app: App, made: Build, timeout: float | None) -> Build:
    """Waits with progress on stderr."""
    with job_bar(app, f"Building {made.model}@{made.version}") as progress:
        return app.client.builds.wait(made.id, timeout=timeout, progress=progress)
