# SPDX-License-Identifier: Apache-2.0
"""Zip archives (``.keras``, ``.pt2``, ``.ts``), looked over before anything unpacks them.

What an archive claims about itself is checked from its directory alone: how much it would unpack to, where its entries would
lie, and whether they are of a kind that is code to the one that reads them (shared libraries).
"""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from converters.interface import refused

MAX_ENTRIES: Final = 100_000
MAX_RATIO: Final = 100  # bytes out per byte in, of all entries together
SMALL: Final = 1 << 20  # bytes below which no ratio is a bomb
_LIBRARIES: Final = frozenset({".so", ".dll", ".dylib", ".cubin", ".o"})


def check_archive(path: Path, *, step: str) -> None:
    """Looks an archive over.

    Raises:
        ModelError: ``MODEL_003`` if it is no zip archive, would unpack to far more than it holds or outside its folder, or
            holds a shared library.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise refused(f"{path.name} is no zip archive ({error}).", step=step) from None
    if len(entries) > MAX_ENTRIES:
        raise refused(f"{path.name} has {len(entries)} entries; at most {MAX_ENTRIES} are read.", step=step)
    size, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if size > max(SMALL, MAX_RATIO * packed):
        raise refused(f"{path.name} of {packed} bytes would unpack to {size}; that is a zip bomb.", step=step)
    for entry in entries:
        _check_entry(entry.filename, path.name, step=step)


def _check_entry(name: str, archive: str, *, step: str) -> None:
    entry = PurePosixPath(name.replace("\\", "/"))
    if entry.is_absolute() or ".." in entry.parts:
        raise refused(f"{archive} holds {name[:120]!r}, which lies outside it.", step=step)
    if entry.suffix.lower() in _LIBRARIES:
        raise refused(f"{archive} holds a compiled library, {name[:120]!r}; export the program without it.", step=step)
