# SPDX-License-Identifier: Apache-2.0
"""``python -m registry_api.images.builders``: base images, and the child process of an image job.

``base DEVICE`` makes a base image. ``build SPEC RESULT`` makes an image; both files are JSON
(:mod:`registry_api.images.builders.spec`). What is told along the way goes to stdout, line by line; a refusal is one line of
JSON on stderr and exit status 3.
"""

from __future__ import annotations

import functools
import resource
import sys
from pathlib import Path

import click
import msgspec

from core.errors import FuroshikiError
from registry_api.images.builders.bases.making import make_base
from registry_api.images.builders.bases.recipe import read_recipe
from registry_api.images.builders.spec import ImageSpec, build

REFUSED = 3
_tell = functools.partial(print, flush=True)


@click.group()
def main() -> None:
    """Makes images of Bentos."""


@main.command("base")
@click.argument("device")
@click.option("--state", type=click.Path(path_type=Path), default=Path(".furoshiki/images/bases"), show_default=True)
@click.option("--architecture", default="amd64", show_default=True)
@click.option("--mirror", default=None, help="URL of a Debian mirror; this machine's own if not given.")
def base_command(device: str, state: Path, architecture: str, mirror: str | None) -> None:
    """Makes the base image of a device class (cpu, cuda, edge), if it is not there yet."""
    try:
        base = make_base(read_recipe(device), state, architecture=architecture, tell=_tell, mirror=mirror)
    except FuroshikiError as error:
        _refuse(error)
    _tell(f"{base.layout.root} {base.image.digest}")


@main.command("build")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("result", type=click.Path(path_type=Path))
def build_command(spec: Path, result: Path) -> None:
    """Makes the image that SPEC describes and writes what it became to RESULT."""
    wanted = msgspec.json.decode(spec.read_bytes(), type=ImageSpec)
    if wanted.memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (wanted.memory_bytes, wanted.memory_bytes))
    try:
        made = build(wanted, _tell)
    except FuroshikiError as error:
        _refuse(error)
    result.write_bytes(msgspec.json.encode(made))


def _refuse(error: FuroshikiError) -> None:
    click.echo(msgspec.json.encode({"code": error.code, "message": error.message}).decode(), err=True)
    sys.exit(REFUSED)


if __name__ == "__main__":
    main()
