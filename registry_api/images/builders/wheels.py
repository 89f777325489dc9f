# SPDX-License-Identifier: Apache-2.0
"""The wheels of a Bento's pinned packages, for the image's Python and platform and not for this machine's.

Fetched once for each list of pins and kept: a build after that needs no network, and neither has one inside of a container.
Only wheels are taken, so nothing of a package runs here, and none of the pins is resolved again (``--no-deps``: the lock is
complete). Each must have a SHA-256 that the Bento's signed list of pins names, when it is fetched and when it is installed:
neither an index nor whoever can write to the cache gets another file into an image. pip uses this machine's own
configuration: index, proxy, certificates; nothing of it gets into an image.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import rfc8785

from artifacts.digest import Digest, digest_bytes, hex_of
from artifacts.oci.blobs import room_on_disk
from artifacts.oci.layout import Platform
from registry_api.images.builders.interface import BuildRequest, Tell, wrong_platform
from registry_api.images.builders.machine import MACHINES
from registry_api.images.builders.running import run

PYTHON: Final = "3.11"
REQUIREMENTS: Final = "env/python/requirements.txt"
_OWN: Final = "src/wheels/"
_SHA256: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_GLIBC: Final = range(17, 37)  # minor versions of the tags that Debian 12 runs
_OLD_TAGS: Final = {"x86_64": ("manylinux2014", "manylinux2010", "manylinux1"), "aarch64": ("manylinux2014",)}


def fetch_wheels(request: BuildRequest, tell: Tell) -> Path:
    """The folder with the wheels of the Bento's packages.

    Raises:
        InvalidRequest: ``IMAGE_003`` if there are no wheels for the platform.
        JobError: ``JOB_002`` if pip does not find a package, or only as source.
        Unavailable: ``STORE_004`` if the disk is full.
    """
    kept = request.cache / "wheels"
    folder = kept / hex_of(pins_digest(request))
    if folder.is_dir() and _damaged(request, folder):
        tell("kept wheels are not those that the pins name: they are fetched anew")
        shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir():
        return folder
    tell(f"fetching the wheels of {REQUIREMENTS} for {request.platform} and Python {PYTHON}")
    with room_on_disk():
        kept.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=".new-", dir=kept))
        try:
            pip(request, "download", "--dest", str(part))
            if not folder.is_dir():  # otherwise another build was faster
                os.rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def _damaged(request: BuildRequest, folder: Path) -> bool:
    """Whether a kept file is none that the pins name."""
    named = set(_SHA256.findall((request.bento / REQUIREMENTS).read_text()))
    for wheel in folder.iterdir():
        with wheel.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() not in named:
                return True
    return False


def pins_digest(request: BuildRequest) -> Digest:
    """Of everything that decides which wheels are taken."""
    made_from: dict[str, Any] = {
        "python": PYTHON,
        "platform": str(request.platform),
        "requirements": digest_bytes((request.bento / REQUIREMENTS).read_bytes()),
        "own": {entry.path: entry.digest for entry in request.manifest.files if entry.path.startswith(_OWN)},
    }
    return digest_bytes(rfc8785.dumps(made_from))


def pip(request: BuildRequest, *command: str) -> None:
    """Runs pip on the Bento's requirements, for the image's Python and platform.

    Raises:
        InvalidRequest: ``IMAGE_003`` if there are no wheels for the platform.
        JobError: ``JOB_002`` if it fails: a pin without a hash, a file with another one.
    """
    argv = [sys.executable, "-m", "pip", *command, "--quiet", "--disable-pip-version-check", "--no-input"]
    argv += ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    argv += ["--implementation", "cp", "--python-version", PYTHON]
    for tag in wheel_tags(request.platform):
        argv += ["--platform", tag]
    requirements = (request.bento / REQUIREMENTS).resolve()
    run([*argv, "--requirement", str(requirements)], cwd=request.bento / "src", what="pip").checked()


def wheel_tags(platform: Platform) -> list[str]:
    """The platform tags of wheels that run in the image, best first.

    Raises:
        InvalidRequest: ``IMAGE_003`` if there are none.
    """
    machine = MACHINES.get(platform.architecture)
    if platform.os != "linux" or machine is None:
        raise wrong_platform("The set of wheels", "linux/amd64 and linux/arm64", platform)
    return [
        *(f"manylinux_2_{minor}_{machine}" for minor in reversed(_GLIBC)),
        *(f"{old}_{machine}" for old in _OLD_TAGS[machine]),
        f"linux_{machine}",
    ]
