# SPDX-License-Identifier: Apache-2.0
"""Where a bundle lies between its download and its load.

By default in memory (``/dev/shm``), so that a model that is encrypted at rest is never plain on a disk of the serving host.
A bundle takes that room only while it is loaded; what is too large for it fails with the system's own error, and the
operator names a folder instead. Memory may be swapped: encrypt or switch off swap where that matters.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from core.errors import ErrorCode, InitError

MEMORY: Final = "memory"
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - private folders are made in it, mode 0700


def scratch_folder(setting: str, home: Path) -> Path | None:
    """The folder for downloads; None: the system's own for temporary files.

    Args:
        setting: ``memory``, ``home``, or the path of a folder.
        home: The service's home folder, for ``home``.

    Raises:
        InitError: ``INIT_002`` if that folder cannot be written to.
    """
    if setting == "home":
        return home if _writable(home) else None
    folder = _SHARED_MEMORY if setting == MEMORY else Path(setting)
    if not _writable(folder):
        raise InitError(
            ErrorCode.SETTING_INVALID,
            f"FUROSHIKI_CACHE__SCRATCH: got {setting!r}; {str(folder)!r} is no folder that this user may write to. "
            "Expected 'memory', 'home' or a folder.",
        )
    return folder


def _writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
