# SPDX-License-Identifier: Apache-2.0
"""Private keys as files of their own: mode 0600 in folders of mode 0700, and refused otherwise, never repaired."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, TypeAlias

from core.errors import ErrorCode, InitError

MAX_KEY_BYTES: Final = 16 * 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

State: TypeAlias = tuple[int, ...]  # of a file: another one if it was replaced or its mode changed


def private_folder(folder: Path) -> None:
    """Makes a folder for its owner only.

    Raises:
        InitError: ``INIT_001`` if it is there and others may enter it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_shared(folder, folder.lstat().st_mode)


def state_of(path: Path) -> State | None:
    """The state of a file; None if there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns)


def read_key_file(path: Path) -> bytes:
    """What a key file holds.

    Raises:
        InitError: ``INIT_001`` if it cannot be read, is no plain file or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be opened") from error
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _unusable(path, "it is not a plain file")
        _refuse_shared(path, mode)
        return file.read(MAX_KEY_BYTES)


def _refuse_shared(path: Path, mode: int) -> None:
    if mode & _OTHERS or stat.S_ISLNK(mode):
        wanted = "0700" if stat.S_ISDIR(mode) else "0600"
        raise _unusable(
            path, f"its mode is {stat.S_IMODE(mode):04o}; expected {wanted}, so that only its owner reads it"
        )


def _unusable(path: Path, reason: str) -> InitError:
    return InitError(
        ErrorCode.INIT_FAILED,
        f"The signing key file {path.name!r} cannot be used: {reason}. Repair it, or move it away to get a new key.",
        log_context={"path": str(path)},
    )
