# SPDX-License-Identifier: Apache-2.0
"""``furo image``: make, list, show and download images. Those of registries: :mod:`furoshiki.cli.image_registry`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import job_bar, transfer_bar
from furoshiki.cli.image_registry import pull, push, verify
from furoshiki.cli.refs import parse_ref
from furoshiki.cli.render import print_json, show_facts, show_list, show_one
from furoshiki.errors import NotFound
from furoshiki.images import Image

COLUMNS: Final = {
    "id": "IMAGE",
    "model": "MODEL",
    "version": "VERSION",
    "variant": "VARIANT",
    "state": "STATE",
    "builder": "BUILDER",
    "compressed_bytes": "BYTES",
    "digest": "DIGEST",
    "created_at": "CREATED",
}
FACTS: Final = {
    "id": "Image",
    "state": "State",
    "model": "Model",
    "version": "Version",
    "variant": "Variant",
    "build_id": "Build",
    "device": "Base for",
    "platform": "Platform",
    "builder": "Builder",
    "builder_version": "Its version",
    "reason": "Chosen because",
    "compressed_bytes": "Bytes",
    "digest": "Digest",
    "base": "Base",
    "key_id": "Signed by",
    "job_id": "Job",
    "created_at": "Created",
    "finished_at": "Finished",
}
LAYERS: Final = {"name": "LAYER", "size": "BYTES", "cached": "CACHED", "digest": "DIGEST"}


@click.group()
def image() -> None:
    """OCI images: make, verify, push and pull them."""


@image.command("build")
@click.argument("source", metavar="BUILD_ID|MODEL[@VERSION]")
@click.option("--builder", type=click.Choice(["auto", "buildah", "layers", "bentoml"]), help="auto if left out.")
@click.option("--device", type=click.Choice(["cpu", "cuda", "edge"]), help="Class of the base image; cpu if left out.")
@click.option("--architecture", help="Of the processor, such as arm64; amd64 if left out.")
@click.option("--wait/--no-wait", default=False, show_default=True, help="Wait until the image is made.")
@click.option("--follow", "-f", is_flag=True, help="Wait, and print the builder's log on stderr.")
@click.option("--timeout", type=float, help="Seconds to wait at most.")
@with_app
def build_image(
    app: App,
    *,
    source: str,
    builder: str | None,
    device: str | None,
    architecture: str | None,
    wait: bool,
    follow: bool,
    timeout: float | None,
) -> None:
    """Make the image of a built Bento.

    Of a build, or of the newest build of a model or version: `furo image build digits@3 --follow`.
    """
    build_id = _build_of(app, source)
    made = app.client.images.create(build_id, builder=builder, device=device, architecture=architecture)
    if follow:
        for chunk in app.client.jobs.follow(made.job_id):
            click.echo(chunk.text, nl=False, err=True)
    if wait or follow:
        with job_bar(app, f"Making the image of {made.model}@{made.version}") as progress:
            made = app.client.images.wait(made.id, timeout=timeout, progress=progress)
    _show(app, made)


@image.command("list")
@with_app
def list_images(app: App) -> None:
    """List images, newest first."""
    show_list(app, app.client.images.list(), COLUMNS)


@image.command("show")
@click.argument("image_id", metavar="ID")
@with_app
def show_image(app: App, *, image_id: str) -> None:
    """Show an image and its layers."""
    _show(app, app.client.images.get(image_id))


@image.command("download")
@click.argument("image_id", metavar="ID")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@with_app
def download_image(app: App, *, image_id: str, folder: Path) -> None:
    """Download an image as an OCI layout.

    With everything attached to it, into FOLDER. Run again, it goes on where it was cut.
    """
    with transfer_bar(app) as progress:
        found = app.client.images.download(image_id, folder, progress=progress)
    facts = {"layout": str(found.directory), "digest": found.digest, "fetched": found.fetched, "kept": found.kept}
    if app.output == "json":
        print_json(facts)
    else:
        show_facts([(name.capitalize(), fact) for name, fact in facts.items()])


image.add_command(verify)
image.add_command(push)
image.add_command(pull)


def _build_of(app: App, source: str) -> str:
    """The build of that id; else the newest finished build of a version, or of any version of a model."""
    if "@" not in source:
        with suppress(NotFound):
            return app.client.builds.get(source).id
    ref = parse_ref(click.get_current_context(), None, source)
    for build in app.client.builds.list():
        if (build.model, build.state) == (ref.model, "succeeded") and ref.version in (None, build.version):
            app.say(f"Of build {build.id}, {build.model}@{build.version} {build.variant}.")
            return build.id
    raise NotFound("BUILD_001", f"{ref} has no finished build. Run `furo build {ref} --wait` first.")


def _show(app: App, made: Image) -> None:
    if app.output == "table" and made.layers:
        show_list(app, made.layers, LAYERS)
        click.echo()
    show_one(app, made, FACTS)
