# SPDX-License-Identifier: Apache-2.0
"""The blobs of a layout: files named by their SHA-256, checked when written and when read.

Opening goes from folder to folder without following links, and opens plain files only: a layout from a stranger cannot make
us read another file of this machine, nor wait at a pipe. The bytes checked are the bytes read: both through one descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from artifacts.digest import Digest, StreamingDigest, digest_bytes, hex_of, parse_digest
from artifacts.durable import sync_folder
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.refusals import missing_blob, wrong_digest, wrong_size
from artifacts.paths import unsafe_path
from core.errors import ErrorCode, Unavailable

PIECE_BYTES: Final = 1024 * 1024
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_PLAIN: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENOTDIR})  # what opening says
_RETRY_S: Final = 60.0
PART_SECONDS: Final = 24 * 3600.0
"""Age after which an unfinished file is nobody's: whoever writes one, or goes on with one, does so sooner."""


class BlobWriter:
    """Takes the bytes of one blob, which appears under its digest when the block that made it ends without an error.

    Made by :meth:`artifacts.oci.layout.Layout.writer`; works as the file object of ``tarfile`` and ``gzip``.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seen = StreamingDigest()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Appends ``data``; returns its length in bytes."""
        self._file.write(data)
        before = self._seen.size
        self._seen.update(data)
        return self._seen.size - before

    def flush(self) -> None:
        """Does nothing: everything is flushed once, before the blob appears."""

    def tell(self) -> int:
        """Bytes written so far."""
        return self._seen.size

    @property
    def digest(self) -> Digest:
        """Of everything written so far; of the blob, once the block has ended."""
        return self._seen.value

    def described(self, media_type: str) -> Descriptor:
        """The descriptor of everything written so far; of the blob, once the block has ended."""
        return Descriptor(media_type=media_type, digest=self._seen.value, size=self._seen.size)


@contextmanager
def written_blob(root: Path) -> Iterator[BlobWriter]:
    """Writes one blob below ``root``; see :meth:`artifacts.oci.layout.Layout.writer`."""
    part = root / f".{uuid.uuid4().hex}.part"
    with room_on_disk():
        try:
            with part.open("xb") as file:
                writer = BlobWriter(file)
                yield writer
                publish(root, part, file, writer.digest)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()


def publish(root: Path, part: Path, file: BinaryIO, digest: Digest) -> None:
    """Makes the open file ``part``, whose digest is known, the blob ``digest``: durable first, then visible in one step."""
    file.flush()
    os.fchmod(file.fileno(), 0o644)
    os.fsync(file.fileno())
    folder = root / "blobs" / "sha256"
    part.replace(folder / hex_of(digest))
    sync_folder(folder)


def sweep_parts(root: Path) -> None:
    """Removes what writers that were killed left in a layout: files last written :data:`PART_SECONDS` ago."""
    now = time.time()
    with suppress(OSError), os.scandir(root) as entries:  # a layout that is only read is left as it is
        for entry in entries:
            unfinished = entry.name.startswith(".") and entry.name.endswith(".part")
            if unfinished and entry.stat(follow_symlinks=False).st_mtime < now - PART_SECONDS:
                os.unlink(entry.path)


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Says ``STORE_004`` where the system says that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Unavailable(
            ErrorCode.STORE_FULL,
            "The disk has no room. Free space, then try again.",
            log_context={"cause": str(error)},
            retry_after=_RETRY_S,
        ) from error


def open_blob(root: Path, digest: Digest, size: int) -> BinaryIO:
    """Opens a blob that is checked already, at its beginning.

    Args:
        root: Of the layout.
        digest: Which blob.
        size: How many bytes it must have.

    Raises:
        InvalidRequest: ``VALID_002`` if ``digest`` is none.
        NotFound: ``STORE_002`` if there is no such blob.
        SignatureError: ``SIGN_007`` if it is not a plain file, ``SIGN_004`` if size or digest are others.
    """
    file = _opened(root, digest)
    try:
        _check_size(file, digest, size)
        seen, buffer = StreamingDigest(), memoryview(bytearray(PIECE_BYTES))
        while read := os.readv(file.fileno(), [buffer]):
            seen.update(buffer[:read])
        if seen.value != digest:
            raise wrong_digest(digest, seen.value, where="the layout")
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def read_blob(root: Path, digest: Digest, size: int) -> bytes:
    """The whole of a small blob; the very bytes that are returned were checked. Raises as :func:`open_blob`."""
    with _opened(root, digest) as file:
        _check_size(file, digest, size)
        data = file.read(size)
    if digest_bytes(data) != digest:
        raise wrong_digest(digest, digest_bytes(data), where="the layout")
    return data


def blob_size(root: Path, digest: Digest) -> int | None:
    """Bytes of a blob, unchecked; None if it is not there. Raises as :func:`open_plain`, and ``VALID_002``."""
    file = open_plain(root, "blobs", "sha256", hex_of(parse_digest(digest)))
    if file is None:
        return None
    with file:
        return os.fstat(file.fileno()).st_size


def open_plain(root: Path, *parts: str) -> BinaryIO | None:
    """Opens the plain file ``parts`` below ``root`` without following links; None if there is none.

    Raises:
        SignatureError: ``SIGN_007`` if something on the way is a link or no folder, or the end is not a plain file.
    """
    shown = "/".join(parts)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(parts[-1], flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in NOT_PLAIN:
            raise unsafe_path(shown, "it is a link, or not what a layout has there") from None
        raise
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise unsafe_path(shown, "it is not a plain file")
    return os.fdopen(descriptor, "rb")


def check_folder(root: Path) -> None:
    """Checks that blobs of a layout are written into its own folder. Raises as :func:`open_plain`."""
    folder = root / "blobs" / "sha256"
    if not folder.is_dir() or folder.resolve() != root.resolve() / "blobs" / "sha256":
        raise unsafe_path("blobs/sha256", "it is a link, or not what a layout has there")


def _opened(root: Path, digest: Digest) -> BinaryIO:
    file = open_plain(root, "blobs", "sha256", hex_of(parse_digest(digest)))
    if file is None:
        raise missing_blob(digest, where="The layout")
    return file


def _check_size(file: BinaryIO, digest: Digest, size: int) -> None:
    found = os.fstat(file.fileno()).st_size
    if found != size:
        raise wrong_size(digest, size, found, where="the layout")
