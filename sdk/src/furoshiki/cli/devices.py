# SPDX-License-Identifier: Apache-2.0
"""``furo devices``: what this machine can run models on, as the installed runners tell (``python -m runners devices``)."""

from __future__ import annotations

import subprocess

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.installation import command, place_of
from furoshiki.errors import Unavailable

_SECONDS = 60.0


@click.command()
@with_app
def devices(app: App) -> None:
    """Show what this machine runs models on, and why not the rest."""
    place = place_of("runners")
    if place is None:
        raise Unavailable(
            "DEVICE_001", "The runners are not installed here; run this where models are served, from the installation."
        )
    asked, environment = command(place, "runners", ["devices", *(["--json"] if app.output == "json" else [])])
    try:
        told = subprocess.run(  # noqa: S603 - our own interpreter and module
            asked, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable("DEVICE_001", f"The runners cannot tell: {error}.") from None
    click.echo(told.stdout, nl=False)
