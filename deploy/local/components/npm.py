# SPDX-License-Identifier: Apache-2.0
"""Programs of the npm registry, at the versions of a lock file, without their install scripts.

Each lock is installed once into ``~/.cache/furoshiki``. Needs npm.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_TIMEOUT_S: Final = 300


def installed(sources: Path, *, name: str, files: Sequence[str] = ("package.json", "package-lock.json")) -> Path:
    """The folder of an installation; processes that race install it twice and keep one.

    Args:
        sources: Folder with the lock.
        name: What its folder in the cache begins with.
        files: What is copied from ``sources``; any change of them makes a new installation.

    Raises:
        RuntimeError: If npm is missing or fails; with what it wrote.
    """
    contents = b"\0".join((sources / file).read_bytes() for file in files)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "furoshiki"
    home = cache / f"{name}-{hashlib.sha256(contents).hexdigest()[:16]}"
    if home.is_dir():
        return home
    cache.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
    try:
        for file in files:
            shutil.copy(sources / file, staging)
        _install(staging, name)
        try:
            staging.rename(home)
        except OSError:
            if not home.is_dir():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return home


def found(program: str) -> str:
    """The path of a program that must be on PATH.

    Raises:
        RuntimeError: If it is not.
    """
    path = shutil.which(program)
    if path is None:
        raise RuntimeError(f"{program} is not installed; install node 20 and npm")
    return path


def _install(folder: Path, name: str) -> None:
    command = [found("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if ran.returncode != 0:
        raise RuntimeError(f"npm ci of {name} failed:\n{ran.stdout}{ran.stderr}")
