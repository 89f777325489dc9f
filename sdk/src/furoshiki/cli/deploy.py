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
from furoshiki.cli.sizes import parse_size
from furoshiki.deployed import Deployment

_USABLE = ("succeeded", "running", "queued")


def optional_ref(ctx: click.Context, param: click.Parameter, value: str | None) -> Ref | None:
    """As :func:`parse_ref`, where nothing may stand."""
    return None if value is None else parse_ref(ctx, param, value)


@click.command()
@click.argument("ref", callback=optional_ref, metavar="[MODEL[@VERSION]]", required=False)
@click.option("--name", required=True, help="The deployment.")
@click.option("--image", "image_id", help="Run this image instead of a version's Bento.")
@click.option("--variant", help="Such as onnx-fp32/cpu; any if left out.")
@click.option("--target", help="Where it runs: process for a Bento; podman (the default) or kubernetes for an image.")
@click.option(
    "--auth",
    type=click.Choice(["api_key", "open"]),
    default="api_key",
    show_default=True,
    help="Who may call it; open only listens on loopback.",
)
@click.option("--replicas", type=click.IntRange(min=1), default=1, show_default=True, help="How many instances.")
@click.option("--cpus", type=float, help="The most processors of each instance; images only.")
@click.option("--memory", callback=parse_size, help="The most memory of each instance, such as 512M; images only.")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Wait until it answers.")
@click.option("--timeout", type=float, help="Seconds to wait at most, for the build and for the start each.")
@with_app
def deploy(
    app: App,
    *,
    ref: Ref | None,
    name: str,
    image_id: str | None,
    variant: str | None,
    target: str | None,
    auth: str,
    replicas: int,
    cpus: float | None,
    memory: int | None,
    wait: bool,
    timeout: float | None,
) -> None:
    """Serve a version: `furo deploy digits@3 --name digits --wait`. Its Bento is built first if there is none."""
    if (ref is None) == (image_id is None):
        raise click.UsageError("Name either MODEL[@VERSION] or --image.")
    build_id = None if ref is None else build_of(app, ref, variant, timeout=timeout).id
    deployment = app.client.deployments.create(
        name,
        build_id=build_id,
        image_id=image_id,
        target=target,
        auth=auth,
        replicas=replicas,
        cpus=cpus,
        memory_bytes=memory,
    )
    show_changed(app, deployment, wait=wait, timeout=timeout, doing="Deploying")


@click.command()
@click.argument("name")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it has stopped.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@with_app
def stop(app: App, *, name: str, wait: bool, timeout: float | None) -> None:
    """Stop the deployment NAME."""
    deployment = app.client.deployments.stop(name)
    show_changed(app, deployment, wait=wait, timeout=timeout, doing="Stopping")


def show_changed(app: App, deployment: Deployment, *, wait: bool, timeout: float | None, doing: str) -> None:
    """Shows a deployment that something was asked of, perhaps once that is done."""
    if wait:
        with job_bar(app, f"{doing} {deployment.name}") as progress:
            deployment = app.client.deployments.wait(deployment.name, timeout=timeout, progress=progress)
    show_one(app, deployment, FACTS)


def build_of(app: App, ref: Ref, variant: str | None, *, timeout: float | None) -> Build:
    """The newest usable build of the version, or a new one; waits until it has succeeded."""
    made = _newest_build(app, ref, variant)
    return made if made.state == "succeeded" else wait_for_build(app, made, timeout)


def _newest_build(app: App, ref: Ref, variant: str | None) -> Build:
    version = app.client.versions.resolve(ref.model, ref.version)
    for build in app.client.builds.list():
        same = (build.model, build.version) == (version.model, version.version)
        if same and variant in (None, build.variant) and build.state in _USABLE:
            app.say(f"Using build {build.id} of {version.ref}.")
            return build
    app.say(f"There is no build of {version.ref} yet; building it.")
    return app.client.builds.create(version.model, version=version.version, variant=variant)
