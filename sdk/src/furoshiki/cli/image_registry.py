# SPDX-License-Identifier: Apache-2.0
"""``furo image verify``, ``push`` and ``pull``: what the server's installation does with image registries.

They start ``python -m artifacts.supply`` and ``python -m artifacts.oci``, whose codes and messages are shown as they are. An
image that is named by its id is downloaded from the registry API first.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click

from furoshiki.cli.app import App, with_app
from furoshiki.cli.bars import transfer_bar
from furoshiki.cli.installation import run_installed
from furoshiki.cli.refs import refuse_missing_folder
from furoshiki.errors import LOCAL_FILE, InvalidRequest

P = ParamSpec("P")
R = TypeVar("R")

SUPPLY: Final = "artifacts.supply"
OCI: Final = "artifacts.oci"
CHOSEN: Final = "Name or digest of the image, in a folder that holds several."
PASSWORD: Final = "FUROSHIKI_OCI_PASSWORD"  # noqa: S105 - the variable's name


def _reaching(command: Callable[Concatenate[App, Sequence[str], P], R]) -> Callable[Concatenate[App, P], R]:
    """Gives a command the options of how a registry is reached, as arguments to pass on."""

    @click.option(
        "--username", help=f"User of the registry; the password is in {PASSWORD} or comes by --password-stdin."
    )
    @click.option("--password-stdin", is_flag=True, help="Read the password from stdin.")
    @click.option("--ca-file", type=click.Path(), help="PEM of the authorities of the registry's TLS.")
    @click.option("--plain-http", is_flag=True, help="Reach a registry beyond this machine without TLS.")
    @functools.wraps(command)
    def run(app: App, /, *args: P.args, **kwargs: P.kwargs) -> R:
        named: dict[str, Any] = {f"--{name}": kwargs.pop(name.replace("-", "_")) for name in ("username", "ca-file")}
        flags = [f"--{name}" for name in ("password-stdin", "plain-http") if kwargs.pop(name.replace("-", "_"))]
        return command(app, [*_options(named), *flags], *args, **kwargs)

    return run


@click.command()
@click.argument("target", metavar="REF|LAYOUT|ID")
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False),
    required=True,
    help="The tenant's trust policy (furo trust).",
)
@click.option(
    "--expect", metavar="MODEL[@VERSION]", help="Refuse an image of anything else; with an ID, its own version."
)
@click.option("--image", "chosen", help=CHOSEN)
@click.option("--platform", help="Of an index, check the image for this one, such as linux/amd64.")
@with_app
@_reaching
def verify(
    app: App,
    reach: Sequence[str],
    *,
    target: str,
    policy: str,
    expect: str | None,
    chosen: str | None,
    platform: str | None,
) -> None:
    """Verify where an image comes from.

    In a registry, in a folder, or by its ID here. Checked are signature, SBOM, provenance, and the chain back to the
    uploaded files, which is printed. The policy alone decides who is trusted. Exit code 7 names the first rule that was
    broken.
    """
    with _located(app, target) as found:
        named = {"--policy": policy, "--expect": expect or found.ref, "--image": chosen, "--platform": platform}
        told = run_installed(app, SUPPLY, ["verify", *_options(named), *_json(app), *reach, "--", found.place])
    click.echo(told, nl=False)


@click.command()
@click.argument("source", metavar="ID|LAYOUT")
@click.argument("reference", metavar="REF")
@click.option("--image", "chosen", help=CHOSEN)
@click.option(
    "--mount-from", multiple=True, metavar="REPOSITORY", help="Take blobs that this neighbour has. Repeatable."
)
@with_app
@_reaching
def push(
    app: App, reach: Sequence[str], *, source: str, reference: str, chosen: str | None, mount_from: tuple[str, ...]
) -> None:
    """Push an image to a registry.

    With everything attached to it: `furo image push ID registry.example/acme/digits:3`. What the registry has does not
    travel; run again, it goes on where it was cut.
    """
    options = _options({"--image": chosen}) + [part for name in mount_from for part in ("--mount-from", name)]
    with _located(app, source, folder=True) as found:
        told = run_installed(app, OCI, ["push", *options, *_json(app), *reach, "--", found.place, reference])
    click.echo(told, nl=False)


@click.command()
@click.argument("reference", metavar="REF")
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--platform", help="Take the image for this one only, such as linux/amd64.")
@with_app
@_reaching
def pull(app: App, reach: Sequence[str], *, reference: str, folder: str, platform: str | None) -> None:
    """Pull an image from a registry.

    With everything attached to it, into FOLDER, an OCI layout. Run again, it goes on where it was cut.
    """
    options = _options({"--platform": platform})
    click.echo(run_installed(app, OCI, ["pull", *options, *_json(app), *reach, "--", reference, folder]), nl=False)


class _Found:
    """Where an image is.

    Args:
        place: A folder, or a reference.
        ref: The version it was made of, ``digits@3``; None: not known.
    """

    def __init__(self, place: str, ref: str | None = None) -> None:
        self.place = place
        self.ref = ref


@contextmanager
def _located(app: App, target: str, *, folder: bool = False) -> Iterator[_Found]:
    """A folder or a reference as it is; an id as a folder that goes with the block."""
    refuse_missing_folder(target)
    if Path(target).is_dir() or ("/" in target and not folder):
        yield _Found(target)
        return
    if "/" in target:
        raise InvalidRequest(LOCAL_FILE, f"There is no folder {target!r}.")
    image = app.client.images.get(target)
    with tempfile.TemporaryDirectory(prefix="furo-image-") as scratch:
        place = Path(scratch) / "layout"
        with transfer_bar(app) as progress:
            app.client.images.download(image.id, place, progress=progress)
        yield _Found(str(place), f"{image.model}@{image.version}")


def _options(named: dict[str, str | None]) -> list[str]:
    return [part for name, value in named.items() if value is not None for part in (name, value)]


def _json(app: App) -> list[str]:
    return ["--json"] if app.output == "json" else []
