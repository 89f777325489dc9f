# SPDX-License-Identifier: Apache-2.0
"""``python -m registry_api.builds build SPEC.json``: the child process of a build job."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from core.errors import FuroshikiError
from registry_api.builds.bento import build
from registry_api.builds.spec import BuildSpec

REFUSED = 3  # exit status when the reason is told in one line on stderr


@click.group()
def main() -> None:
    """Makes Bentos."""


@main.command("build")
@click.argument("spec", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def build_command(spec: Path) -> None:
    """Makes the Bento that SPEC describes."""
    from bentoml.exceptions import BentoMLException

    try:
        build(BuildSpec.read(spec))
    except (BentoMLException, FuroshikiError, OSError) as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
