# SPDX-License-Identifier: Apache-2.0
"""``furo deploy`` and ``furo stop``."""

from __future__ import annotations

import click

from furoshiki.builds import Build
from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import job_bar
from furoshiki.cli.build import wait_for_build
from furoshiki.cli.ps import FACTS
from furoshiki.cli.refs import Ref, parse_ref
from furoshiki.cli.render import show_one

_USABLE = ("succeeded", "running", "queued")


@click.command()
@click.argument("ref", callback=parse_ref, metavar="MODEL[@VERSION]")
@click.option("--name", required=True, help="The deployment.")
@click.option("--variant", help="Such as onnx-fp32/cpu; any if left out.")
@click.option("--target", default="process", show_default=True, help="Where it runs.")
@click.option(
    "--auth",
    type=click.Choice(["api_key", "open"]),
    default="api_key",
    show_default=True,
    help="Who may call it; open only listens on loopback.",
)
@click.option("--wait/--no-wait", default=False, show_default=True, help="Wait until it answers.")
@click.option("--timeout", type=float, help="Seconds to wait at most, for the build and for the start each.")
@with_app
def deploy(
    app: App, *, ref: Ref, name: str, variant: str | None, target: str, auth: str, wait: bool, timeout: float | None
) -> None:
    """Serve a version: `furo deploy digits@3 --name digits --wait`. Its Bento is built first if there is none."""
    made = _build_of(app, ref, variant)
    if made.state != "succeeded":
        made = wait_for_build(app, made, timeout)
    deployment = app.client.deployments.create(name, build_id=made.id, target=target, auth=auth)
    if wait:
        with job_bar(app, f"Deploying {name}") as progress:
            deployment = app.client.deployments.wait(name, timeout=timeout, progress=progress)
    show_one(app, deployment, FACTS)


@click.command()
@click.argument("name")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it has stopped.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@with_app
def stop(app: App, *, name: str, wait: bool, timeout: float | None) -> None:
    """Stop the deployment NAME."""
    deployment = app.client.deployments.stop(name)
    if wait:
        with job_bar(app, f"Stopping {name}") as progress:
            deployment = app.client.deployments.wait(name, timeout=timeout, progress=progress)
    show_one(app, deployment, FACTS)


def _build_of(app: App, ref: Ref, variant: str | None) -> Build:
    """The newest usable build of the version, or a new one."""
    version = app.client.versions.resolve(ref.model, ref.version)
    for build in app.client.builds.list():
        same = (build.model, build.version) == (version.model, version.version)
        if same and variant in (None, build.variant) and build.state in _USABLE:
            app.say(f"Using build {build.id} of {version.ref}.")
            return build
    app.say(f"There is no build of {version.ref} yet; building it.")
    return app.client.builds.create(version.model, version=version.version, variant=variant)
