# SPDX-License-Identifier: Apache-2.0
"""Debian packages by mmdebstrap: chosen, fetched and their signatures checked by apt; unpacked they are by
:mod:`registry_api.images.builders.bases.unpacking`.

No script of any package runs, so this needs no root, no chroot and no mount: it works for any user, also in a container.
What the scripts would have made (users, the file of certificates) is written by
:mod:`registry_api.images.builders.bases.making`.

Where packages come from: the mirror that is given, otherwise this machine's own apt sources if it runs the same suite,
otherwise Debian's.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from core.errors import ErrorCode, Unavailable
from registry_api.images.builders.bases.recipe import Recipe
from registry_api.images.builders.interface import Tell
from registry_api.images.builders.running import run

_SOURCES: Final = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


def fetch(recipe: Recipe, architecture: str, folder: Path, *, mirror: str | None, tell: Tell) -> list[Path]:
    """Fetches the packages of a recipe and what they depend on.

    Args:
        recipe: Which.
        architecture: In Debian's names.
        folder: New; for mmdebstrap.
        mirror: URL of a Debian mirror; None: as told above.
        tell: Told which mirror.

    Returns:
        The archives that belong into the image, sorted by name.

    Raises:
        Unavailable: ``IMAGE_001`` if mmdebstrap is not installed, ``IMAGE_002`` if the packages cannot be had.
    """
    if shutil.which("mmdebstrap") is None or shutil.which("dpkg-deb") is None:
        raise _cannot_be_made(recipe)
    source = mirror or _own_sources(recipe.suite)
    tell(f"fetching the packages of Debian {recipe.suite} from {source or 'deb.debian.org'}")
    argv = ["mmdebstrap", "--variant=extract", "--mode=chrootless", "--format=directory", "--skip=cleanup/apt"]
    argv += [f"--architectures={architecture}", f"--include={','.join(recipe.packages)}", recipe.suite, str(folder)]
    argv += [source] if source else []
    ended = run(argv, what="mmdebstrap", env={"LC_ALL": "C.UTF-8"})
    if ended.status != 0:
        raise Unavailable(
            ErrorCode.IMAGE_BASE,
            f"The packages of the base image {recipe.device!r} cannot be had: mmdebstrap ended with status "
            f"{ended.status}. Check the mirror. Its last lines: {ended.printed[-1500:].strip()}",
            details={"device": recipe.device, "status": ended.status},
        )
    archives = sorted((folder / "var" / "cache" / "apt" / "archives").glob("*.deb"))
    return [path for path in archives if path.name.partition("_")[0] not in recipe.left_out]


def _own_sources(suite: str) -> str | None:
    release = Path("/etc/os-release")
    same = release.exists() and f"VERSION_CODENAME={suite}" in release.read_text().splitlines()
    return next((str(path) for path in _SOURCES if path.exists()), None) if same else None


def _cannot_be_made(recipe: Recipe) -> Unavailable:
    return Unavailable(
        ErrorCode.IMAGE_BUILDER_MISSING,
        f"The base image {recipe.device!r} cannot be made on this machine: mmdebstrap is not installed. Install the Debian "
        "packages mmdebstrap and dpkg, or make the base elsewhere and name its folder in FUROSHIKI_IMAGES__BASES.",
        details={"builder": "base", "device": recipe.device},
    )
