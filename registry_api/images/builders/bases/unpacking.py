# SPDX-License-Identifier: Apache-2.0
"""Unpacks Debian packages without running any of their code: ``dpkg-deb`` reads, this module writes.

Nothing is written outside the folder, with another owner, or with more rights than 0755; devices and other special files are
left out. What lies below ``/bin``, ``/lib`` and ``/sbin`` comes below ``/usr``, as in every Debian since 12.

The filters of :mod:`tarfile` are not used: Debian 12's own Python, 3.11.2, has none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from tarfile import TarError, TarFile, TarInfo
from tarfile import open as open_tar
from typing import Final

from core.errors import ErrorCode, Unavailable

STATUS: Final = "var/lib/dpkg/status.d"
"""One control file per package, as in Google's distroless images: scanners and our SBOM read it."""
_MERGED: Final = frozenset({"bin", "lib", "lib32", "lib64", "libx32", "sbin"})  # lie below usr/ since Debian 12


def unpack(archive: Path, root: Path, excluded: tuple[str, ...]) -> None:
    """Unpacks one package into ``root`` and notes its control file, from which the SBOM is made.

    Args:
        archive: The package.
        root: Folder that is the root of the image.
        excluded: Patterns of paths that are not taken.

    Raises:
        Unavailable: ``IMAGE_002`` if the archive is damaged, or leads out of the folder.
    """
    name = archive.name.partition("_")[0]
    status = root / STATUS / name
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_bytes(_control(archive))
    data = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)  # noqa: S603, S607
    assert data.stdout is not None  # PIPE was asked for
    try:
        with data, open_tar(fileobj=data.stdout, mode="r|") as tar:
            for member in tar:
                path = _merged(member.name)
                if path is not None and not any(fnmatch(path, pattern) for pattern in excluded):
                    _write(tar, member, _inside(root, path, archive), archive, root)
    except TarError:
        raise _damaged(archive) from None
    if data.returncode != 0:
        raise _damaged(archive)


def _write(tar: TarFile, member: TarInfo, target: Path, archive: Path, root: Path) -> None:
    if member.isdir():
        target.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        os.link(_inside(root, _merged(member.linkname) or "", archive), target, follow_symlinks=False)
    elif (content := tar.extractfile(member)) is not None:
        with target.open("xb") as file:
            shutil.copyfileobj(content, file)
        target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _inside(root: Path, path: str, archive: Path) -> Path:
    """Where ``path`` lies, if no link on the way to it leads out of ``root``."""
    target = root / path
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise _damaged(archive)
    return target


def _merged(name: str) -> str | None:
    """Where a path of a package is in the image; None for the root itself, and for what would lie outside of it."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or name.startswith("/"):
        return None
    return "/".join(("usr", *parts) if parts[0] in _MERGED else parts)


def _control(archive: Path) -> bytes:
    done = subprocess.run(["dpkg-deb", "--field", str(archive)], capture_output=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise _damaged(archive)
    return done.stdout


def _damaged(archive: Path) -> Unavailable:
    return Unavailable(ErrorCode.IMAGE_BASE, f"The package {archive.name} cannot be read. Fetch it again.")
