# SPDX-License-Identifier: Apache-2.0
"""Small files that appear whole or not at all, and stay after a power cut.

The bytes are written under another name and flushed, the name is set in one step, then the folder is flushed. A process that
is killed in between leaves a ``.part`` file and nothing under the final name.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int, replace: bool) -> bool:
    """Writes ``data`` to ``path`` in a folder that exists.

    Args:
        path: The final name.
        data: The whole content.
        mode: Permission bits of the file, whatever the umask.
        replace: Whether a file of that name may be replaced. False keeps the first one, whoever wrote it.

    Returns:
        Whether ``path`` now holds ``data``; False only if it existed and ``replace`` is False.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            part.replace(path)
        else:
            path.hardlink_to(part)
        sync_folder(path.parent)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return True


def sync_file(path: Path) -> None:
    """Flushes the content of a file to the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Flushes the names in a folder to the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
