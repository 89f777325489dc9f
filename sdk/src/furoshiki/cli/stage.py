# SPDX-License-Identifier: Apache-2.0
"""``furo stage``."""

from __future__ import annotations

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.refs import Ref, parse_version_ref
from furoshiki.cli.versions import show_version

STAGES = ("DEVELOPMENT", "STAGING", "PRODUCTION", "DEPRECATED")


@click.command()
@click.argument("ref", callback=parse_version_ref, metavar="MODEL@VERSION")
@click.argument("stage", type=click.Choice(STAGES, case_sensitive=False), metavar="STAGE")
@click.option("--reason", required=True, help="Why; kept in the model's history.")
@click.option("--override", is_flag=True, help="In an emergency, although gates are not met; recorded.")
@with_app
def stage(app: App, *, ref: Ref, stage: str, reason: str, override: bool) -> None:
    """Move a version to another stage. `furo stage digits@3 PRODUCTION --reason "accuracy 0.97"`.

    Stages are DEVELOPMENT, STAGING, PRODUCTION and DEPRECATED.
    """
    assert ref.version is not None  # parse_version_ref
    show_version(app, app.client.versions.stage(ref.model, ref.version, stage, reason=reason, override=override))
