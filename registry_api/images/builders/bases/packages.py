# SPDX-License-Identifier: Apache-2.0
"""Debian packages by mmdebstrap: chosen, fetched and their signatures checked by apt, then only unpacked.

No script of any package runs, so this needs no root, no chroot and no mount: it works for any user, also in a container.
What the scripts would have made (users, the file of certificates) is written by
:mod:`registry_api.images.builders.bases.making`.

Where packages come from: the mirror that is given, otherwise this machine's own apt sources if it runs the same suite,
otherwise Debian's.
"""

from __future__ import annotations

import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from tarfile import TarFile, TarInfo, tar_filter
from tarfile import open as open_tar
from typing import Final

from core.errors import ErrorCode, Unavailable
from registry_api.images.builders.bases.recipe import Recipe
from registry_api.images.builders.interface import Tell, builder_missing
from registry_api.images.builders.running import run

STATUS: Final = "var/lib/dpkg/status.d"
"""One control file per package, as in Google's distroless images: scanners and our SBOM read it."""
_MERGED: Final = frozenset({"bin", "lib", "lib32", "lib64", "libx32", "sbin"})  # lie below usr/ since Debian 12
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
        raise builder_missing("base", "mmdebstrap is not installed (Debian packages mmdebstrap and dpkg).")
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


def unpack(archive: Path, root: Path, excluded: tuple[str, ...]) -> None:
    """Unpacks one package into ``root`` and notes its control file, from which the SBOM is made.

    Raises:
        Unavailable: ``IMAGE_002`` if the archive is damaged.
    """
    name = archive.name.partition("_")[0]
    status = root / STATUS / name
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_bytes(_dpkg_deb("--field", archive))
    data = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)  # noqa: S603, S607
    assert data.stdout is not None  # PIPE was asked for
    with data, open_tar(fileobj=data.stdout, mode="r|") as tar:
        for member in tar:
            _unpack_member(tar, member, root, excluded)
    if data.returncode != 0:
        raise _damaged(archive)


def _unpack_member(tar: TarFile, member: TarInfo, root: Path, excluded: tuple[str, ...]) -> None:
    path = _merged(member.name)
    if path is None or any(fnmatch(path, pattern) for pattern in excluded):
        return
    member.name = path
    if member.islnk():
        member.linkname = _merged(member.linkname) or ""
    tar.extract(member, root, filter=_as_ours)


def _as_ours(member: TarInfo, path: str) -> TarInfo:
    """Nothing is written outside the folder, with another owner, or with more rights than 0755."""
    checked = tar_filter(member, path)
    mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return checked.replace(mode=mode, mtime=0, uid=0, gid=0, uname="", gname="")


def _merged(name: str) -> str | None:
    """Where a path of a package is in the image; None for the root itself."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        return None
    return "/".join(("usr", *parts) if parts[0] in _MERGED else parts)


def _own_sources(suite: str) -> str | None:
    release = Path("/etc/os-release")
    same = release.exists() and f"VERSION_CODENAME={suite}" in release.read_text().splitlines()
    return next((str(path) for path in _SOURCES if path.exists()), None) if same else None


def _dpkg_deb(option: str, archive: Path) -> bytes:
    done = subprocess.run(["dpkg-deb", option, str(archive)], capture_output=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise _damaged(archive)
    return done.stdout


def _damaged(archive: Path) -> Unavailable:
    return Unavailable(ErrorCode.IMAGE_BASE, f"The package {archive.name} cannot be read. Fetch it again.")
