# SPDX-License-Identifier: Apache-2.0
"""A blob of known digest on its way into a layout, over many attempts and over restarts of the process.

What arrived stays in ``.<digest>.part`` until the blob is whole, so the next attempt, of whichever process, asks for the
rest only. What lies there is hashed again before it is built upon. One process at a time writes the file; another that wants
the same blob meanwhile writes one of its own.
"""

from __future__ import annotations

import fcntl
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from artifacts.digest import StreamingDigest, hex_of
from artifacts.oci.blobs import NOT_PLAIN, PIECE_BYTES, publish, room_on_disk
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.refusals import wrong_digest, wrong_size
from artifacts.paths import unsafe_path


class Arrival:
    """Takes the bytes of one blob. Its methods block. Made by :func:`arriving`."""

    def __init__(self, root: Path, part: Path, file: BinaryIO, descriptor: Descriptor) -> None:
        self._root = root
        self._part = part
        self._file = file
        self._descriptor = descriptor
        self._seen = StreamingDigest()

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self._seen.size

    def recover(self) -> None:
        """Hashes what an earlier attempt left."""
        self._file.seek(0)
        while (left := self._descriptor.size - self.size) > 0 and (piece := self._file.read(min(PIECE_BYTES, left))):
            self._seen.update(piece)
        self._file.seek(self.size)
        self._file.truncate()

    def write(self, data: bytes) -> None:
        """Appends ``data``.

        Raises:
            SignatureError: ``SIGN_004`` if there are now more bytes than there shall be; all are thrown away.
            Unavailable: ``STORE_004`` if the disk is full.
        """
        if self.size + len(data) > self._descriptor.size:
            found = self.size + len(data)
            self.restart()
            raise wrong_size(self._descriptor.digest, self._descriptor.size, found, where="the registry")
        with room_on_disk():
            self._file.write(data)
        self._seen.update(data)

    def restart(self) -> None:
        """Throws away what is here."""
        self._seen = StreamingDigest()
        self._file.seek(0)
        self._file.truncate()

    def finish(self) -> None:
        """Makes the blob visible.

        Raises:
            SignatureError: ``SIGN_004`` if it is another; all is thrown away.
            Unavailable: ``STORE_004`` if the disk is full.
        """
        found = self._seen.value
        if found != self._descriptor.digest:
            self.restart()
            raise wrong_digest(self._descriptor.digest, found, where="the registry")
        with room_on_disk():
            publish(self._root, self._part, self._file, found)


@contextmanager
def arriving(root: Path, descriptor: Descriptor) -> Iterator[Arrival]:
    """A blob on its way into the layout at ``root``. Entering blocks while what is there already is hashed.

    Raises:
        SignatureError: ``SIGN_007`` if something that is not a plain file is in the way.
        Unavailable: ``STORE_004`` if the disk is full.
    """
    shared = root / f".{hex_of(descriptor.digest)}.part"
    with room_on_disk():
        part, file = shared, _open(shared)
        if not _alone(file, shared):
            file.close()
            part = root / f".{uuid.uuid4().hex}.part"
            file = _open(part)
    try:
        with file:
            arrival = Arrival(root, part, file, descriptor)
            arrival.recover()
            yield arrival
    finally:
        if part != shared:
            with suppress(FileNotFoundError):
                part.unlink()


def _open(path: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno not in NOT_PLAIN:
            raise
        raise unsafe_path(path.name, "it is a link, or not a plain file") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:  # another name of it may be anybody's file
        os.close(descriptor)
        raise unsafe_path(path.name, "it is not a plain file, or has another name as well")
    return os.fdopen(descriptor, "r+b")


def _alone(file: BinaryIO, path: Path) -> bool:
    """Whether nobody else writes the file, and it was not made a blob while we waited."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_ino == path.stat(follow_symlinks=False).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
