# SPDX-License-Identifier: Apache-2.0
"""Leaves in locks the hashes of the files that are for CPython 3.11 on Linux, x86-64 or arm64: ``linux.py UV LOCK...``.

uv names every file of a version, whatever it is for: ten times as many. The lists travel in Bentos and images, and hashes do
not compress. The source of a package stays where one of the two machines has no wheel of it. What a wheel is for is in its
name (https://packaging.python.org/en/latest/specifications/binary-distribution-format/).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

PYTHON: Final = (3, 11)
MACHINES: Final = ("x86_64", "aarch64")
_OLD: Final = ("manylinux1", "manylinux2010", "manylinux2014", "linux")
_HASH: Final = re.compile(r" \\\n    --hash=sha256:([0-9a-f]{64})")


def _tags(machine: str) -> frozenset[Tag]:
    platforms = [f"{name}_{machine}" for name in (*_OLD, *(f"manylinux_2_{minor}" for minor in range(5, 60)))]
    return frozenset([*cpython_tags(PYTHON, platforms=platforms), *compatible_tags(PYTHON, "cp311", platforms)])


TAGS: Final = {machine: _tags(machine) for machine in MACHINES}


def wanted(package: Mapping[str, Any]) -> Iterator[str]:
    """SHA-256 of the files of a package, a table of a ``pylock.toml`` (PEP 751), that are to be installed from."""
    served: set[str] = set()
    for wheel in package.get("wheels", ()):
        tags = parse_wheel_filename(wheel["url"].rpartition("/")[2].replace("%2B", "+"))[3]
        machines = {machine for machine in MACHINES if tags & TAGS[machine]}
        served |= machines
        if machines:
            yield wheel["hashes"]["sha256"]
    if "sdist" in package and len(served) < len(MACHINES):
        yield package["sdist"]["hashes"]["sha256"]


def trim(uv: str, lock: Path) -> None:
    """Rewrites one lock."""
    described = lock.with_name("pylock.toml")
    command = [uv, "pip", "compile", "--quiet", "--no-deps", "--universal", "--python-version", "3.11"]
    try:
        subprocess.run([*command, str(lock), "--output-file", str(described)], check=True)  # noqa: S603 - uv, on our lock
        packages = tomllib.loads(described.read_text())["packages"]
    finally:
        described.unlink(missing_ok=True)
    kept = {digest for package in packages for digest in wanted(package)}
    lock.write_text(_HASH.sub(lambda found: found[0] if found[1] in kept else "", lock.read_text()))


if __name__ == "__main__":
    for name in sys.argv[2:]:
        trim(sys.argv[1], Path(name))
