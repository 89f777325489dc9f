# SPDX-License-Identifier: Apache-2.0
"""Blobs as files of this machine: lent under a second name instead of copied, and hashed where they lie.

A file is hashed once by a process as long as it stays the same file of the same length and time of change. That is enough,
because nothing in this package ever writes to a visible blob; it guards against damage, not against somebody who may write
to the store's folder, and who could exchange a blob after any check.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Final, TypeAlias

from artifacts.digest import Digest, StreamingDigest
from artifacts.durable import sync_folder
from artifacts.stores.threads import PIECE_BYTES

_Identity: TypeAlias = tuple[int, int, int, int]  # device, inode, bytes, time of change in ns

_REMEMBERED: Final = 4096  # files
_READ_ONLY: Final = 0o400
_NOT_LINKED: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


class LocalFiles:
    """The files of a folder that is a store. Its methods block, and may be called from several threads.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._checked: OrderedDict[str, _Identity] = OrderedDict()
        self._lock = Lock()

    def remember(self, key: str, descriptor: int) -> None:
        """Notes that an open file, which is or becomes the object ``key``, was hashed and is right."""
        with self._lock:
            self._checked[key] = _identity(descriptor)
            self._checked.move_to_end(key)
            if len(self._checked) > _REMEMBERED:
                self._checked.popitem(last=False)

    def lend(self, key: str, digest: Digest, path: Path) -> Digest | None:
        """Makes ``path`` another name of an object, read-only, once its bytes are known to be right.

        Returns:
            What its bytes hash to: if that is not ``digest``, nothing was done. None if the disk cannot do it.

        Raises:
            FileNotFoundError: If there is no such object.
        """
        descriptor = os.open(self.root / key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = digest if self._checked.get(key) == _identity(descriptor) else hash_file(descriptor)
            if found != digest:
                return found
            self.remember(key, descriptor)
            os.fchmod(descriptor, _READ_ONLY)
            return found if self._link(key, descriptor, path) else None
        finally:
            os.close(descriptor)

    def _link(self, key: str, descriptor: int, path: Path) -> bool:
        """False if the disk cannot do it, or the object was written anew since it was opened."""
        try:
            path.hardlink_to(self.root / key)
        except OSError as error:
            if error.errno in _NOT_LINKED:
                return False
            raise
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return True
        path.unlink()
        return False


def sync_up(root: Path, below: Path) -> None:
    """Flushes the names in a folder and in all above it, up to ``root``. Blocks."""
    for folder in (below, *below.parents):
        sync_folder(folder)
        if folder == root:
            break


def hash_file(descriptor: int) -> Digest:
    """Hashes an open file from its beginning, in constant memory. Blocks; other threads run meanwhile."""
    seen, buffer, offset = StreamingDigest(), memoryview(bytearray(PIECE_BYTES)), 0
    while read := os.preadv(descriptor, [buffer], offset):
        seen.update(buffer[:read])
        offset += read
    return seen.value


def _identity(descriptor: int) -> _Identity:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
